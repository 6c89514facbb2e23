// Walks from login to an order on the page /api/docs/ as a person would: node browser.js SHOP EMAIL PASSWORD CHROMIUM SHOTS
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [shop, email, password, executablePath, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
page.setDefaultTimeout(30_000);

const faults = [];
page.on("console", (said) => ["error", "warning"].includes(said.type()) && faults.push(`console: ${said.text()}`));
page.on("pageerror", (error) => faults.push(`page: ${error}`));
page.on("requestfailed", (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
page.on("request", (request) => {
  const url = new URL(request.url());
  if (url.protocol !== "data:" && url.origin !== shop) faults.push(`elsewhere: ${url}`);
});

/** Tries an operation out: fills in what is given, presses Execute, and reads what the page shows. */
async function tryOut(method, path, { parameters = {}, body, status = 200 } = {}) {
  const summary = page.locator(`.opblock-${method.toLowerCase()}`).filter({ has: page.locator(`[data-path="${path}"]`) });
  if (!(await summary.isVisible())) throw new Error(`${method} ${path} is not on the page`);
  await summary.locator(".opblock-summary-control").click();
  await summary.getByRole("button", { name: "Try it out" }).click();
  for (const [name, value] of Object.entries(parameters)) {
    const row = summary.locator(`tr[data-param-name="${name}"]`);
    const field = row.locator("input, select").first();
    if ((await field.evaluate((element) => element.tagName)) === "SELECT") await field.selectOption(value);
    else await field.fill(value);
  }
  if (body) await summary.locator("textarea.body-param__text").fill(JSON.stringify(body, null, 2));
  const [answer] = await Promise.all([
    page.waitForResponse((response) => {
      return response.request().method() === method && new URL(response.url()).pathname.startsWith(path.split("{")[0]);
    }),
    summary.getByRole("button", { name: "Execute", exact: true }).click(),
  ]);
  const shown = summary.locator(".live-responses-table tr.response .response-col_status").first();
  await shown.waitFor();
  const text = await answer.text();
  if (answer.status() !== status || !(await shown.textContent()).trim().startsWith(String(status))) {
    throw new Error(`${method} ${path}: ${answer.status()} ${text}`);
  }
  console.log(`${method} ${path} ${answer.status()}`);
  return { json: JSON.parse(text), summary };
}

/** Opens every section that is closed. */
async function unfold() {
  const closed = page.locator('.opblock-tag[data-is-open="false"]');
  while ((await closed.count()) > 0) await closed.first().click();
}

try {
  await page.goto(`${shop}/api/docs/`);
  await page.locator(".swagger-ui .info .title").waitFor();
  await page.screenshot({ path: join(shots, "page.png") });
  await unfold();

  const login = await tryOut("POST", "/api/auth/login/", { body: { email, password } });
  await page.getByRole("button", { name: "Authorize", exact: true }).first().click();
  const dialog = page.locator(".dialog-ux");
  await dialog.locator("input").first().fill(login.json.access);
  await dialog.getByRole("button", { name: /^Apply|^Authorize/ }).first().click();
  await dialog.getByRole("button", { name: "Close" }).first().click();

  const listed = await tryOut("GET", "/api/products/", { parameters: { in_stock: "true", page_size: "5" } });
  const product = listed.json.results.find((one) => one.variants.length === 1);
  const cart = { product_id: product.id, variant_id: product.variants[0].id, quantity: 1 };
  await tryOut("POST", "/api/cart/", { body: cart, status: 201 });
  const shipping_address = {
    name: "Ada Lovelace", line1: "12 Analytical Row", city: "London", postal_code: "N1 9GU", country: "GB",
  };
  const ordered = await tryOut("POST", "/api/orders/", { body: { shipping_address }, status: 201 });
  if (ordered.json.items[0].product_id !== product.id) throw new Error(JSON.stringify(ordered.json));
  await ordered.summary.scrollIntoViewIfNeeded();
  await page.screenshot({ path: join(shots, "order.png") });

  // The token is gone with the page, and no other page may show this one.
  const kept = await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length);
  if (kept !== 0) throw new Error("the page keeps something");
  await page.goto(`${shop}/api/docs`);
  await page.locator(".swagger-ui .info .title").waitFor();
} catch (error) {
  await page.screenshot({ path: join(shots, "failed.png") }).catch(() => {});
  faults.push(String(error));
}
await browser.close();
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
