// The defaults of Medusa; its database is on this machine, so without TLS, and its dashboard is not built.
const { defineConfig } = require("@medusajs/framework/utils")

module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { connection: { ssl: false } },
    http: {
      storeCors: process.env.ORIGIN,
      adminCors: process.env.ORIGIN,
      authCors: process.env.ORIGIN,
      jwtSecret: process.env.SECRET,
      cookieSecret: process.env.SECRET,
    },
  },
  admin: { disable: true },
})
