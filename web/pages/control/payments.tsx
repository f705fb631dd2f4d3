export { PaymentsPage as default } from "@/components/control/pages";
