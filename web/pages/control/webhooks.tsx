export { WebhooksPage as default } from "@/components/control/pages";
