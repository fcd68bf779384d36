/**
 * In which order tables are loaded. Foreign keys of Zulip are checked at the end of a transaction, so within one the order is free; but a
 * load has many transactions, and each must find what its rows point to.
 */
import { MESSAGES } from './source/load-source.js';

/** Zulip's worker delivers what is due, and marks what a deactivated realm has due as failed: these come with the last step. */
const LAST = 'zerver_scheduledmessage';

export interface LoadOrder {
  /** Tables that point to one another in a circle (realms, users, groups, channels), and what these need: one transaction. */
  readonly core: readonly string[];
  /** Each step needs only those before it; tables of one step may be loaded at once. Of tables in messages files zerver_message stands for all. */
  readonly steps: readonly (readonly string[])[];
  /** Tables in messages files, each after those that it refers to. */
  readonly messages: readonly string[];
  /** Scheduled messages and what points to them. */
  readonly last: readonly string[];
}

/**
 * @param inMessageFiles those of `tables` whose rows stand beside the messages that they belong to
 * @param parents by table: what its foreign keys point to; others than `tables` are there already
 */
export function loadOrder(tables: readonly string[], inMessageFiles: readonly string[], parents: ReadonlyMap<string, ReadonlySet<string>>): LoadOrder {
  const above = new Map(tables.map((table) => [table, ancestors(table, tables, parents)]));
  const needs = (table: string, other: string): boolean => above.get(table)?.has(other) === true;
  const circular = tables.filter((table) => needs(table, table));
  const core = tables.filter((table) => circular.includes(table) || circular.some((other) => needs(other, table)));
  const last = tables.filter((table) => table === LAST || needs(table, LAST));
  const depth = (table: string): number => Math.max(0, ...[...(above.get(table) ?? [])].filter((other) => !core.includes(other)).map((other) => 1 + depth(other)));
  const steps: string[][] = [];
  for (const table of tables) {
    if (core.includes(table) || last.includes(table) || (inMessageFiles.includes(table) && table !== MESSAGES)) continue;
    (steps[depth(table)] ??= []).push(table);
  }
  return {
    core, last, messages: [...inMessageFiles].sort((a, b) => depth(a) - depth(b)),
    // They take the longest.
    steps: steps.map((step) => step.sort((a, b) => Number(b === MESSAGES) - Number(a === MESSAGES))),
  };
}

function ancestors(table: string, tables: readonly string[], parents: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const found = new Set<string>();
  const visit = (each: string): void => {
    for (const parent of parents.get(each) ?? []) {
      if (found.has(parent) || !tables.includes(parent)) continue;
      found.add(parent);
      visit(parent);
    }
  };
  visit(table);
  return found;
}
