export { LogPage as default } from "@/components/control/pages";
