export { KeysPage as default } from "@/components/control/pages";
