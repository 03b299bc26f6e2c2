/** Addresses of a library's images. */
import { address } from "./api.js";

/** Address of a thumbnail. side: px, one of 64, 128, 256, 512, 1024. @param {string} library @param {string} id */
export const thumbnail = (library, id, side = 256) => address("/v1/libraries/{name}/images/{id}", { name: library, id }, { side });

/** Address of an image's words. @param {string} library @param {string} id */
export const wordsOf = (library, id) => address("/v1/libraries/{name}/images/{id}/words", { name: library, id });
