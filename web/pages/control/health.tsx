export { HealthPage as default } from "@/components/control/pages";
