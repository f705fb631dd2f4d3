export { ImportPage as default } from "@/components/control/pages";
