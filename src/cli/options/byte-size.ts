import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { '': 1, KIB: 1 << 10, MIB: 1 << 20, GIB: 1 << 30, KB: 1e3, MB: 1e6, GB: 1e9 };

/** An option's value such as `16MiB`, `20MB` or `1048576`, in bytes. */
export function byteSize(least: number): (value: string) => number {
  return (value) => {
    const [, number, unit = ''] = /^(\d+) ?([KMG]i?B)?$/i.exec(value) ?? [];
    const bytes = Number(number) * (UNITS[unit.toUpperCase()] ?? NaN);
    if (!(bytes >= least)) throw new InvalidArgumentError(`a size of at least ${least} bytes is needed, such as 16MiB.`);
    return bytes;
  };
}
