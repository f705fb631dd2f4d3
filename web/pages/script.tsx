export { Decision as default } from "@/components/home/decision";
