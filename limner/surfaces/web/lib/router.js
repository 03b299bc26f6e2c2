/** Which page is shown: the address after "#", e.g. #/job/honey-1/history. */
import { useEffect, useState } from "./html.js";

const parts = () => location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded);

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch { // a percent sign that is none of an encoding
    return part;
  }
}

/** @returns {string[]} parts of the address; it changes with it. */
export function useRoute() {
  const [route, setRoute] = useState(parts);
  useEffect(() => {
    const look = () => setRoute(parts());
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return route;
}

/** Address of a page. @param {string[]} route */
export const link = (...route) => `#/${route.map(encodeURIComponent).join("/")}`;

/** @param {string[]} route */
export function go(...route) {
  location.hash = link(...route);
}
