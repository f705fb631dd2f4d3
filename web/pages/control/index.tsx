export { Control as default } from "@/components/control/control";
