#!/usr/bin/env bash
# Starts SLURM with one node of two cores, this machine, and everything of it in one folder:
#
#     eval "$(tests/cluster/one_node.sh FOLDER)"      # as root; sets SLURM_CONF
#     tests/cluster/one_node.sh FOLDER stop
#
# Needs slurm-wlm and munge of Debian.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
host=$(hostname -s)

stop() {
    for name in slurmd slurmctld munged; do
        if [ -f "$folder/$name.pid" ]; then
            kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
        fi
    done
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
    mkdir -p "$folder/state" "$folder/spool"
    head -c 1024 /dev/urandom >"$folder/munge.key"
    chmod 600 "$folder/munge.key"
    # --force: the folder may be writable by others, as /tmp is.
    munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" \
        --pid-file "$folder/munged.pid" --log-file "$folder/munged.log" \
        --seed-file "$folder/munge.seed" 2>"$folder/munged.err"
    cat >"$folder/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0
# A job that is cancelled or out of time gets SIGTERM, and this long to save its state.
KillWait=30
# Two, whatever the machine has.
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF=$folder/slurm.conf
    slurmctld >>"$folder/slurmctld.err" 2>&1
    slurmd >>"$folder/slurmd.err" 2>&1
    for _ in $(seq 100); do
        if sinfo --noheader --format %t 2>/dev/null | grep -qx idle; then
            echo "export SLURM_CONF=$folder/slurm.conf"
            return
        fi
        sleep 0.2
    done
    echo "no node after 20 s; see the logs in $folder" >&2
    stop
    exit 1
}

if [ "${2:-start}" = stop ]; then stop; else start; fi
