export { Storefront as default } from "@/components/storefront/storefront";
