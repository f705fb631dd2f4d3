"use client";

import dynamic from "next/dynamic";
import { areasLoaded } from "@/lib/language";
import type { ComponentType } from "react";
import { Frame, type SectionProps } from "./frame";

/** Load a section when its page is opened with a key, together with its texts: neither belongs to the first load. */
const section = (load: () => Promise<ComponentType<SectionProps>>) =>
  dynamic(async () => {
    const Content = await load();
    await areasLoaded();
    return Content;
  });

const Sales = section(() => import("./sales").then((file) => file.Sales));
const Import = section(() => import("./import").then((file) => file.Import));
const Webhooks = section(() => import("./webhooks/webhooks").then((file) => file.Webhooks));
const Keys = section(() => import("./keys/keys").then((file) => file.Keys));
const Payments = section(() => import("./payments").then((file) => file.Payments));
const Log = section(() => import("./log").then((file) => file.Log));
const Health = section(() => import("./health").then((file) => file.Health));

export const SalesPage = () => <Frame section="sales" Content={Sales} />;
export const ImportPage = () => <Frame section="import" Content={Import} />;
export const WebhooksPage = () => <Frame section="webhooks" Content={Webhooks} />;
export const KeysPage = () => <Frame section="keys" Content={Keys} />;
export const PaymentsPage = () => <Frame section="payments" Content={Payments} />;
export const LogPage = () => <Frame section="log" Content={Log} />;
export const HealthPage = () => <Frame section="health" Content={Health} />;
