const box = document.getElementById("wanted");
const only = document.getElementById("only");
const shown = document.getElementById("shown");
const cards = [...document.querySelectorAll(".card")];

function show() {
  const wanted = box.value.trim().toLowerCase();
  let count = 0;
  for (const card of cards) {
    const named = card.querySelector("h3").textContent.toLowerCase().includes(wanted);
    card.hidden = !named || (only.checked && card.dataset.findings === "no");
    count += card.hidden ? 0 : 1;
  }
  shown.textContent = `${count} of ${cards.length} shown`;
}

box.addEventListener("input", show);
only.addEventListener("change", show);
show();
