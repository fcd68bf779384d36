/** The database through which other machines do the work. */
import { EXIT, RealmliftError } from '../../errors.js';
import { connectionSettings, type ConnectionSettings } from '../../snapshot/connection-settings.js';

export interface QueueOption {
  /** True without a value, which stands in the environment then: who may see the list of processes sees the words of a command. */
  readonly queue?: string | true;
  /** Milliseconds. */
  readonly workerTimeout: number;
}

/** @throws RealmliftError USAGE, CONNECTION_STRING */
export function queueOf({ queue, workerTimeout }: QueueOption, env: NodeJS.ProcessEnv): { readonly settings: ConnectionSettings; readonly silence: number } | undefined {
  return queue === undefined ? undefined : { settings: queueSettings(queue, env), silence: Math.ceil(workerTimeout / 1000) };
}

/** @throws RealmliftError USAGE, CONNECTION_STRING */
export function queueSettings(given: string | true, env: NodeJS.ProcessEnv): ConnectionSettings {
  const url = given === true ? env.QUEUE_URL : given;
  if (url === undefined || url === '') throw new RealmliftError('USAGE', 'usage', 'it is not said where the queue is', { hint: '--queue URL, or QUEUE_URL in the environment', exit: EXIT.usage });
  return connectionSettings(url, env);
}
