/** An image in the article, and in the margin everything about it: other candidates, its words, its crop. */
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { ask as request, at, get } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { Busy, Field, Grown, Icon, IconButton, Notice, Picture, lineOf, say } from "../lib/ui.js";

/** As published. */
export function Figure({ block }) {
  return html`<figure>
    <${Picture} src=${block.src} alt=${block.alt} width=${block.width} height=${block.height} crop=${block.crop} />
    ${(block.caption || block.credit) && html`<figcaption><bdi>${block.caption}</bdi>${block.credit && html` <span class="credit"><bdi>${block.credit}</bdi></span>`}</figcaption>`}
  </figure>`;
}

/** The words of an image; each field is saved when it is left. */
function Words({ block, desk }) {
  const [words, setWords] = useState({});
  const save = (name) => {
    const value = words[name];
    if (value !== undefined && value !== block[name]) desk.edit([{ do: "describe_image", image: block.id, [name]: value }]);
    setWords(({ [name]: _, ...others }) => others); // what is typed in the other fields stays
  };
  return html`${["caption", "alt", "credit"].map((name) => html`
    <${Field} key=${name} id=${`image-${name}`} label=${t(name)}>
      <${Grown} id=${`image-${name}`} dir="auto" disabled=${block.locked} value=${words[name] ?? block[name]} onInput=${(e) => setWords((now) => ({ ...now, [name]: e.target.value.replace(/\n/g, " ") }))}
        onBlur=${() => save(name)} onKeyDown=${(e) => e.key === "Enter" && !e.isComposing && (e.preventDefault(), save(name))} />
    </${Field}>`)}
    ${block.licence && html`<p class="quietly">${t("licence")}: <bdi>${block.licence}</bdi></p>`}`;
}

const query = (names) => new URLSearchParams(Object.entries(names).filter(([, value]) => value)).toString();

/**
 * Images to choose from: those found for the image, those for a caption, those like another one.
 * first: what is looked for before anything is typed, e.g. {image: "f-s1"}. choose: called with the candidate taken.
 */
export function Candidates({ desk, first, choose, chosen, like, box, offered, off }) {
  const [wanted, setWanted] = useState(first);
  const [text, setText] = useState("");
  const [but, setBut] = useState("");
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  const [all, setAll] = useState(false);
  const origin = JSON.stringify(first);
  useEffect(() => { setWanted(first); setText(""); setBut(""); }, [origin]);
  const asked = query(wanted);
  useEffect(() => {
    setProblem("");
    setAll(false);
    if (!asked) return setFound([]);
    const ended = new AbortController();
    setFound(null);
    get(`${at(desk.job, "candidates")}?${asked}`, { signal: ended.signal })
      .then((answer) => setFound(answer.candidates), (error) => error.name !== "AbortError" && (setFound([]), setProblem(lineOf(error))));
    return () => ended.abort();
  }, [asked]);
  useEffect(() => { if (offered) offered.current = off ? [] : (found || []).map((one) => (used(one, chosen) ? null : one)); }, [found, off]);
  const search = (event) => {
    event.preventDefault();
    if (text.trim()) setWanted({ caption: text.trim() });
  };
  const alike = (event) => {
    event.preventDefault();
    setWanted({ like: like.image_id, but: but.trim() });
  };
  const why = found?.find((one) => one.image_id === chosen)?.why;
  return html`
    ${why && html`<p class="why-line"><span class="label">${t("why")}</span> <bdi>${server(why)}</bdi></p>`}
    ${problem && html`<${Notice} problem text=${problem} />`}
    ${!found ? html`<${Busy} />` : found.length === 0 ? !problem && asked && html`<p class="quietly">${t("found-none")}</p>` : html`
      <ol class="candidates">${found.slice(0, all || found.length < FIRST + 3 ? found.length : FIRST).map((one) => html`
        <li key=${`${one.library}/${one.image_id}`} class=${one.image_id === chosen ? "chosen" : one.chosen ? "used" : ""}>
          <button type="button" disabled=${off || used(one, chosen)} aria-pressed=${one.image_id === chosen} title=${server(one.why) || one.caption} onClick=${() => choose(one)}>
            <span class="frame"><${Picture} src=${one.thumbnail} alt="" /></span>
            <span class="score">${used(one, chosen) ? t("used") : html`<span class="sr">${t("score")} </span>${score(one)}`}</span>
            <span class="caption" dir="auto">${one.caption}</span>
          </button>
        </li>`)}</ol>
      ${!all && found.length >= FIRST + 3 && html`<p><button type="button" class="quiet" onClick=${() => setAll(true)}>${t("more")} (${found.length - FIRST})</button></p>`}`}
    <form class="with" onSubmit=${search}><input ref=${box} type="search" aria-label=${t("search-caption")} placeholder=${t("search-caption")} value=${text} onInput=${(e) => setText(e.target.value)} /><button disabled=${!text.trim()}>${t("search")}</button></form>
    ${like && html`<form class="with" onSubmit=${alike}><input aria-label=${t("like-but")} placeholder=${t("like-but")} value=${but} onInput=${(e) => setBut(e.target.value)} /><button>${t("like")}</button></form>`}`;
}

const FIRST = 6; // candidates shown before more are asked for
const score = (one) => one.score.toFixed(2);
/** Whether it stands elsewhere in the article: an image is shown once. */
const used = (one, chosen) => one.chosen && one.image_id !== chosen;

/** Hand in an image of one's own. taken: called with what the server made of it. */
export function Upload({ desk, taken, off }) {
  const [busy, setBusy] = useState(false);
  const input = useRef();
  const send = async (file) => {
    if (!file) return;
    setBusy(true);
    try {
      const body = new FormData();
      body.set("file", file);
      taken(await (await request(at(desk.job, "images"), { method: "POST", body })).json());
    } catch (error) {
      say(lineOf(error), true);
    }
    setBusy(false);
    input.current.value = "";
  };
  return html`<label class=${`button upload ${off ? "off" : ""}`}><${Icon} name="plus" />${busy ? t("uploading") : t("upload")}
    <input ref=${input} class="sr" type="file" disabled=${off || busy} accept="image/*,.svg,.heic,.avif" onChange=${(e) => send(e.target.files[0])} /></label>`;
}

/** Everything about an image that stands in the article. */
export function ImageTools({ block, place, desk, act, box, offered }) {
  const off = block.locked;
  const swap = (one) => one.image_id !== block.image_id && desk.edit([{ do: "swap_image", image: block.id, image_id: one.image_id, library: one.library }], { hint: one });
  const icon = (name, run, { icon, keys, disabled = off }) => html`<${IconButton} icon=${icon} name=${name} keys=${keys} disabled=${disabled} onClick=${run} />`;
  return html`
    <div class="tools row-of-icons">
      <h2 class="label">${t("kind-image")}${off ? ` · ${t("locked")}` : ""}</h2><span class="fill"></span>
      ${icon(off ? t("unlock") : t("lock"), act.lock, { icon: off ? "unlock" : "lock", keys: "l", disabled: false })}
      ${icon(t("move-up"), () => act.move(-1), { icon: "up", keys: "Alt+↑", disabled: off || place.first })}
      ${icon(t("move-down"), () => act.move(1), { icon: "down", keys: "Alt+↓", disabled: off || place.last })}
      ${icon(t("crop"), act.crop, { icon: "crop", keys: "c" })}
      ${icon(t("remove"), act.remove, { icon: "trash", keys: "d" })}
    </div>
    <h3 class="sr">${t("candidates")}</h3>
    <${Candidates} desk=${desk} first=${{ image: block.id }} chosen=${block.image_id} like=${block} choose=${swap} box=${box} offered=${offered} off=${off} />
    <div class="tools"><${Upload} desk=${desk} off=${off} taken=${(own) => swap({ ...own, score: 0 })} /></div>
    <h3 class="label">${t("words")}</h3>
    <${Words} block=${block} desk=${desk} />`;
}

/** A new image after a paragraph. */
export function PlaceTools({ block, desk, done, box, offered }) {
  const place = (one) => {
    desk.edit([{ do: "place_image", after: block.id, image_id: one.image_id, library: one.library }]);
    done();
  };
  return html`
    <h2 class="label">${t("place-image")}</h2>
    <div class="tools"><${Upload} desk=${desk} taken=${place} /><button type="button" onClick=${done}>${t("back")}</button></div>
    <${Candidates} desk=${desk} first=${{ caption: plain(block.text).slice(0, 300) }} choose=${place} box=${box} offered=${offered} />`;
}

/** Words without the commonest marks of Markdown: a first search, not a rendering. */
const plain = (text) => text.replace(/[*_`#>\[\]]|\(https?:[^)]*\)/g, " ").replace(/\s+/g, " ").trim();
