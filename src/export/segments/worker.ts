/** A thread that is a worker. */
import { parentPort } from 'node:worker_threads';
import { segmentWorker } from './segment-worker.js';

const port = parentPort;
port?.on('message', segmentWorker((told) => port.postMessage(told), () => port.close()));
