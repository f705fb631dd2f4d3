/** The look, by custom properties that the shop's page may set on the element. */
export const STYLES = `
:host {
  display: block;
  font: var(--flashguard-font, 1rem/1.5 system-ui, sans-serif);
  color: var(--flashguard-ink, light-dark(#17181c, #eceef2));
  background: var(--flashguard-panel, light-dark(#fff, #131519));
  border: 1px solid var(--flashguard-line, light-dark(#d9dae0, #2f343d));
  border-radius: 0.75rem;
  padding: 1rem;
  font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
  container-type: inline-size;
}
:host([hidden]), [hidden] { display: none !important; }
h2 { font-size: 1.125rem; margin: 0 0 0.25rem; }
p, ul { margin: 0; padding: 0; }
ul { list-style: none; }
li { padding: 0.75rem 0; border-top: 1px solid var(--flashguard-line, light-dark(#d9dae0, #2f343d)); }
li:first-child { border-top: 0; }
.between { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center; gap: 0.25rem 1rem; }
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; margin-top: 0.75rem; }
.stepper { display: flex; gap: 0.25rem; }
[part~="name"], [part~="price"], [part~="total"] { font-weight: 600; }
[part~="stock"], .soft { color: var(--flashguard-soft, light-dark(#5a5c66, #a0a4af)); }
[part~="message"] { margin-top: 0.5rem; font-weight: 600; }
.stale { text-decoration: line-through; }
button, input {
  font: inherit; color: inherit; background: transparent; border-radius: 0.5rem;
  border: 1px solid var(--flashguard-strong, light-dark(#74767f, #8b909c));
  min-height: 2.75rem; min-width: 2.75rem; padding: 0 0.875rem; box-sizing: border-box;
}
button { cursor: pointer; }
button:disabled { cursor: default; opacity: 0.55; }
input { width: 4rem; padding: 0 0.25rem; text-align: center; appearance: textfield; }
input::-webkit-inner-spin-button { appearance: none; }
.main {
  background: var(--flashguard-accent, light-dark(#17181c, #eceef2));
  color: var(--flashguard-on-accent, light-dark(#fff, #131519));
  border-color: transparent; font-weight: 600; flex: 1 1 10rem;
}
a { color: var(--flashguard-link, light-dark(#1d4fb8, #8db4ff)); }
:focus-visible { outline: 3px solid var(--flashguard-link, light-dark(#1d4fb8, #8db4ff)); outline-offset: 2px; }
`;
