/** Where the new server's database is, as --target-url says it. */
import { connectionSettings, type ConnectionSettings } from '../../snapshot/connection-settings.js';

/** The PG* variables of the environment are those of the server that is left; the file of passwords may have both. @throws RealmliftError CONNECTION_STRING */
export function newServerSettings(url: string): ConnectionSettings {
  return connectionSettings(url, { PGPASSFILE: process.env.PGPASSFILE });
}
