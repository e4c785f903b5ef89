/** How the parts of a panel reach the modules that are loaded when needed. */

import { createContext } from "preact";
import type { LazyModules } from "./lazy_modules.ts";

export const LazyModulesContext = createContext<LazyModules | undefined>(undefined);
