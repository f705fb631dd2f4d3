import NextLink from "next/link";
import type { ComponentProps } from "react";

/** A link to another page. Its scripts are loaded when it is pointed at: a buyer's page loads no control room. */
export const Link = (props: ComponentProps<typeof NextLink>) => <NextLink prefetch={false} {...props} />;
