/** Options for what the schema does not tell: which columns are secrets, and of which version the server is. */
import type { Command } from 'commander';
import type { Decisions } from '../../plan/views/compile-view.js';
import { collect } from './collect.js';

export interface ColumnOptions {
  readonly strip?: string[];
  readonly keep?: string[];
}

export interface SchemaOptions extends ColumnOptions {
  readonly zulipVersion?: string;
}

export function addSchemaOptions(command: Command): Command {
  return command
    .option('--strip <table.column>', 'leave a column out', collect)
    .option('--keep <table.column>', 'export a column although its name looks like a secret', collect)
    .option('--zulip-version <version>', 'the version of the server, if the database misleads');
}

export function decisionsOf({ strip, keep }: ColumnOptions): Decisions {
  return { strip: new Set(strip ?? []), keep: new Set(keep ?? []) };
}
