export function findProblems(sources: Iterable<[path: string, text: string]>): string[];
