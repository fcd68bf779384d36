/** Processor time of a PostgreSQL server's sessions, as the kernel adds it up for the postmaster once they have ended. */
import { readFileSync } from 'node:fs';
import { withClient } from '../test/testbed/database-client.js';
import { processorTimes } from './measured-process.js';

/** Seconds that the ended sessions of the server took so far; NaN where the server is not on this machine or there is no /proc. */
export async function endedSessionsSeconds(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const { rows: [session] } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const postmaster = session && parentOf(session.pid);
    return postmaster === undefined ? NaN : processorTimes(postmaster).endedChildren;
  });
}

/** Field 4 of /proc/PID/stat, if that process is a session of PostgreSQL: another machine's numbers mean others here. */
function parentOf(pid: number): number | undefined {
  try {
    const [name = '', rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    return name.includes('(postgres') ? Number(rest.split(' ')[1]) : undefined;
  } catch {
    return undefined;
  }
}
