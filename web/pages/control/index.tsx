export { SalesPage as default } from "@/components/control/pages";
