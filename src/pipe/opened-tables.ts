/** The files of an export with tables in them, opened for as long as they are read and closed whatever happens. */
import { join } from 'node:path';
import { tableFiles, type ReadableExport } from './finished-export.js';
import { TableFile, type Expected } from './table-file.js';

/**
 * The files one after another: each is closed when the next is asked for, and when the loop ends.
 * @throws RealmliftError as {@link TableFile.open}
 */
export function* eachTableFile({ directory }: Pick<ReadableExport, 'directory'>, files: Iterable<Expected>): Generator<TableFile, void> {
  for (const listed of files) {
    const file = TableFile.open(join(directory, listed.path), listed);
    try {
      yield file;
    } finally {
      file.close();
    }
  }
}

/**
 * Runs `use`, which opens the table files of exports (realm.json and the like) all at once; they are closed when it is done.
 * @throws what `use` throws; RealmliftError as {@link TableFile.open}
 */
export async function withTableFiles<T>(use: (open: (source: ReadableExport) => TableFile[]) => T | Promise<T>): Promise<T> {
  const opened: TableFile[] = [];
  try {
    return await use((source) => tableFiles(source).map((listed) => {
      const file = TableFile.open(join(source.directory, listed.path), listed);
      opened.push(file);
      return file;
    }));
  } finally {
    for (const file of opened) file.close();
  }
}
