/** Whether other machines do the work, by which database, and when one of them counts as gone. */
import { Option, type Command } from 'commander';
import { EXIT, RealmliftError } from '../../errors.js';
import { connectionSettings, type ConnectionSettings } from '../../snapshot/connection-settings.js';
import { refuseIdle } from './contradictions.js';
import { duration } from './duration.js';

export interface QueueOption {
  /** True without a value, which stands in the environment then: who may see the list of processes sees the words of a command. */
  readonly queue?: string | true;
  /** Milliseconds. */
  readonly workerTimeout: number;
}

/** @param what they do, behind `have`: `it done` */
export function addQueueOptions(command: Command, what: string): Command {
  return command
    .option('--queue [url]', `have ${what} by the machines that run \`realmlift worker\` with this database, which is for nothing else; without a URL, that of QUEUE_URL`)
    .addOption(new Option('--worker-timeout <duration>', "with --queue: give a machine's work to another when nothing was heard from it for this long").argParser(duration).default(30_000, '30s'));
}

/** @throws RealmliftError USAGE for what is about workers where there are none */
export function refuseIdleTimeout(command: Command, { queue }: QueueOption): void {
  refuseIdle(command, queue === undefined, ['workerTimeout'], 'is for the workers of a queue', 'add --queue, or leave it out');
}

/** @throws RealmliftError USAGE, CONNECTION_STRING */
export function queueOf({ queue, workerTimeout }: QueueOption, env: NodeJS.ProcessEnv): { readonly settings: ConnectionSettings; readonly silence: number } | undefined {
  return queue === undefined ? undefined : { settings: queueSettings(queue, env), silence: Math.ceil(workerTimeout / 1000) };
}

/** @throws RealmliftError USAGE, CONNECTION_STRING */
export function queueSettings(given: string | true, env: NodeJS.ProcessEnv): ConnectionSettings {
  const url = given === true ? env.QUEUE_URL : given;
  if (url === undefined || url === '') throw new RealmliftError('USAGE', 'usage', 'it is not said where the queue is', { hint: '--queue URL, or QUEUE_URL in the environment', exit: EXIT.usage });
  try {
    return connectionSettings(url, env);
  } catch (error) {
    throw error instanceof RealmliftError ? error.advising(`look at ${given === true ? 'QUEUE_URL' : '--queue'}; ${error.hint ?? ''}`) : error;
  }
}
