/** Exports to hold splits against. */
import { openLocalStore } from '../../src/files/local-store.js';
import { exportRealm, type Choices, type TestSource } from '../export/test-source.js';
import { compareExports } from '../testbed/compare-export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';

export type LocalDataset = 'zulip-4/local' | 'zulip-8/local' | 'zulip-11/local' | 'zulip-12/local';

/** A database that holds what `dataset` holds. @param uploads where its files are; by default those of the dataset */
export function sourceAt(dataset: LocalDataset, url: string, uploads?: string): TestSource {
  return { dataset, url, openStore: async () => openLocalStore({ uploadsDir: uploads ?? (await uploadsDirectory(dataset)) }) };
}

/** Exports one realm of the source, or of its split; not verified, for what is compared byte by byte is as good as the other, and exports of the samples are verified elsewhere. */
export function exported(source: TestSource, output: string, realm: string, choices: Choices = {}): Promise<string> {
  return exportRealm(source, output, realm, { ...choices, verify: false });
}

/** Differences of two exports, without those that are drawn at random. */
export function differences(expected: string, actual: string): string[] {
  return compareExports(expected, actual).filter((each) => !/zerver_subscription\.color|exported-user-|^consented_user_ids/.test(each));
}
