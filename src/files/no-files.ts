/** A store of which nothing is taken: for exports of rows alone. Every area keeps its records.json, an empty one, for the import reads them all. */
import type { Candidate, FileStore } from './file-store.js';

/** Rows of attachments stay too: the import stops on one without a record. */
async function* uploads(wanted: Parameters<FileStore['candidates']>[1]): AsyncGenerator<Candidate> {
  for await (const upload of wanted.uploads()) yield { area: 'uploads', key: upload.pathId, path: upload.pathId, upload, refused: 'owner', judge: () => ({ take: false }) };
}

async function* nothing(): AsyncGenerator<never> {
  // Nothing of the other areas is named by a row that could not travel without it.
}

export const NO_FILES: FileStore = {
  kind: 'local', description: 'no files (--no-files)', name: 'no files',
  candidates: (area, wanted) => (area === 'uploads' ? uploads(wanted) : nothing()),
  fetch: () => Promise.resolve({ taken: false }),
  unchanged: () => Promise.resolve(false),
  stillThere: () => Promise.resolve(undefined),
  list: () => nothing(),
  close: () => undefined,
};
