export { Order as default } from "@/components/storefront/order";
