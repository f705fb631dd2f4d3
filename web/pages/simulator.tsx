export { Simulator as default } from "@/components/simulator/simulator";
