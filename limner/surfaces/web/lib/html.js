/** Preact with htm: components in plain modules, nothing to build. Everything in a template is text unless it says so. */
import { h, render, Fragment } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

/** @import { Node } from "../types.js" */

/** @type {(strings: TemplateStringsArray, ...values: unknown[]) => Node} */
export const html = htm.bind(h);
export { h, render, Fragment };
export { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState, useCallback, useId } from "../vendor/hooks.js";
