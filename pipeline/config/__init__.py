"""Typed YAML: one complete file an experiment in, one frozen ``Config`` out."""

from pipeline.config.loading import as_yaml, flatten, load_config, parse_config, without_places
from pipeline.config.scan_sections import CodedTerm, ReadingSection, StructureSection
from pipeline.config.sections import (
    AugmentationSection,
    Config,
    DataSection,
    InferenceSection,
    NetworkSection,
    PreprocessingSection,
    TrackingSection,
    TrainingSection,
)

__all__ = [
    "AugmentationSection",
    "CodedTerm",
    "Config",
    "DataSection",
    "InferenceSection",
    "NetworkSection",
    "PreprocessingSection",
    "ReadingSection",
    "StructureSection",
    "TrackingSection",
    "TrainingSection",
    "as_yaml",
    "flatten",
    "load_config",
    "parse_config",
    "without_places",
]
