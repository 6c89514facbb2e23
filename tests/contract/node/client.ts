// A customer of the shop, with types generated from its description: node built/client.js SHOP EMAIL PASSWORD
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };
const [shop, email, password] = process.argv.slice(2) as [string, string, string];
const api = createClient<paths>({ baseUrl: shop });

/** What was answered, or the problem document as an error. */
function good<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

const login = good(await api.POST("/api/auth/login/", { body: { email, password } }));
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${login.access}`);
  },
});
const query = { in_stock: true, ordering: "price", page_size: 3 } as const;
const [product] = good(await api.GET("/api/products/", { params: { query } })).results;
if (product === undefined) throw new Error("no product is in stock");

const header = (key: string) => ({ params: { header: { "Idempotency-Key": key } } });
const item = { product_id: product.id, variant_id: product.variants[0]!.id, quantity: 2 };
const line = good(await api.POST("/api/cart/", { ...header("cart-1"), body: item }));
console.log(`${line.quantity} × ${line.product?.name}: ${line.total_price}`);

const shipping_address = {
  name: "Ada Lovelace", line1: "12 Analytical Row", city: "London", postal_code: "N1 9GU", country: "GB",
} as const;
const order = good(await api.POST("/api/orders/", { ...header("order-1"), body: { shipping_address } }));
const payment = good(await api.POST("/api/payment/", { ...header("pay-1"), body: { order_id: order.id } }));
const path = { id: payment.id };
good(await api.POST("/api/payment/test/{id}/", { params: { path }, body: { outcome: "succeed" } }));

const paid = good(await api.GET("/api/orders/{id}/", { params: { path: { id: order.id } } }));
if (paid.payment_status !== "paid") throw new Error(`the order is ${paid.payment_status}`);
const invoice = good(await api.GET("/api/orders/{id}/invoice/", { params: { path: { id: order.id } } }));
if (typeof invoice === "string") throw new Error("a client that accepts JSON gets JSON");
console.log(`order ${paid.number}, ${paid.total_price} ${paid.currency}, invoice ${invoice.number}`);
