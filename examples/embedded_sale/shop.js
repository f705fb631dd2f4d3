// What a shop's page does with the element: hand it the buyer's token, and hear what becomes of the hold.
const sale = document.querySelector("flashguard-sale");
const told = document.getElementById("told");

// In production: sale.token = await the shop's own server, which mints one for the signed-in customer.

for (const name of ["held", "extended", "released", "expired", "ordered", "cancelled"]) {
  sale.addEventListener(`flashguard:${name}`, ({ detail }) => {
    told.textContent = `${name} ${detail.reservation.id}`;
  });
}
sale.addEventListener("flashguard:refused", ({ detail }) => {
  told.textContent = `refused ${detail.problem?.code ?? "no answer"}`;
});
sale.addEventListener("flashguard:checkout", (event) => {
  // A shop with its own till takes the buyer there, and confirms the hold from its server when it is paid.
  if (!document.body.hasAttribute("data-own-till")) return;
  event.preventDefault();
  told.textContent = `to our till with ${event.detail.reservation.id}`;
});
