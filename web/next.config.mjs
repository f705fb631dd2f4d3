/** Written by hand: a static export that the API serves, or any CDN. */
const config = {
  output: "export",
  trailingSlash: true,
  skipTrailingSlashRedirect: true,
  compress: false,
  images: { unoptimized: true },
  agentRules: false,
  generateBuildId: () => "flashguard",
};

export default config;
