/** Run once after the compiler: the check of the views at build, and the trees for every run. */
import { loadRegistry } from './registry.js';
import { keepTrees } from './parse-select.js';

const { tables, selections, ledger } = loadRegistry();
keepTrees([...tables.values(), ...selections.values(), ...ledger].flatMap((view) => view.selects.map((select) => select.sql)));
