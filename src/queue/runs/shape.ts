/** What is read out of the queue is held to be anything, before it is believed: others may write there, and versions differ. */

import { RealmliftError } from '../../errors.js';

/** Whether a value of JSON is one of a kind. */
export type Shape = (value: unknown) => boolean;

export const text: Shape = (value) => typeof value === 'string';

export const flag: Shape = (value) => typeof value === 'boolean';

/** Of rows, of bytes, or an id. */
export const count: Shape = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

export const number: Shape = (value) => Number.isFinite(value);

export const anything: Shape = () => true;

/** A SHA-256 in hexadecimal. */
export const digest: Shape = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

export function nullable(shape: Shape): Shape {
  return (value) => value === null || shape(value);
}

/** Of a field that may be left out. */
export function optional(shape: Shape): Shape {
  return (value) => value === undefined || shape(value);
}

export function listOf(shape: Shape): Shape {
  return (value) => Array.isArray(value) && value.every(shape);
}

/** An object with any names. */
export function recordOf(shape: Shape): Shape {
  return (value) => isObject(value) && Object.values(value).every(shape);
}

/** An object with these fields, all of which are named here; others are no concern. */
export function objectOf<T>(fields: Readonly<Record<keyof Required<T>, Shape>>): Shape {
  const shapes = Object.entries<Shape>(fields);
  return (value) => isObject(value) && shapes.every(([name, shape]) => shape(value[name]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param who says such things */
export function queueDamaged(who: 'worker' | 'run'): RealmliftError {
  return new RealmliftError('QUEUE_DAMAGED', 'queue', `what the queue says of a piece of work is not what a ${who} says`, {
    hint: "who else can write to the queue's database? Make one that only realmlift's role may use", again: true,
  });
}
