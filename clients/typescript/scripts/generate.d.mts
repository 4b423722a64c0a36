/** Returns the text of each generated file by its name. */
export function generate(): Map<string, string>;

/** Returns the names of generated files whose content is not what the specs say. */
export function outOfDate(): string[];
