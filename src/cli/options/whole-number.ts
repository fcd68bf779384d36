import { InvalidArgumentError } from 'commander';

/** An option's value as a whole number of at least `least`. */
export function wholeNumber(least: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < least) throw new InvalidArgumentError(`a whole number of at least ${least} is needed.`);
    return number;
  };
}
