/**
 * Types of the studio, for `tsc --checkJs` only: a browser never loads this file. What the server sends and takes is
 * drawn from its own OpenAPI document (`npm run types`), so a change of the API that the studio has not followed is an
 * error of the check.
 */
import type { components, paths } from "@limner/api";
import type { ComponentChildren, VNode } from "preact";

export type Schemas = components["schemas"];
export type Revision = Schemas["Revision"];
export type Preview = Schemas["Preview"];
/** pending: its HTML is not that of its text; the server has not answered yet. fresh: the change that it is new by. */
export type TextBlock = Schemas["TextBlock"] & { pending?: boolean; fresh?: string };
export type ImageBlock = Schemas["ImageBlock"];
export type Block = TextBlock | ImageBlock;
export type Edit = Schemas["EditsRequest"]["edits"][number];
export type Instruction = Schemas["ProposalRequest"]["instruction"];
export type Proposal = Schemas["ProposalView"];
export type Candidate = Schemas["CandidateView"];
export type OwnImage = Schemas["OwnImage"];
export type Job = Schemas["JobView"];
export type JobWhole = Schemas["JobWhole"];
export type JobEvent = Schemas["EventPage"]["events"][number];
export type LibraryImage = Schemas["LibraryImage"];
export type Words = Partial<Record<"caption" | "alt" | "credit" | "licence", string | null>>;

// --- the API ---------------------------------------------------------------------------------------------------------

type Method = "get" | "post" | "patch" | "delete";
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;
type Json<R> = R extends { content: { "application/json": infer Body } } ? Body : never;

/** Addresses that know a method. */
export type Knowing<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, object> ? P : never }[keyof paths];
/** What the server answers. */
export type Got<P extends keyof paths, M extends Method> = Operation<P, M> extends { responses: infer R }
  ? R extends { 200: infer Ok } ? Json<Ok> : R extends { 201: infer Made } ? Json<Made> : null
  : never;
/** The body that it takes. */
export type Sent<P extends keyof paths, M extends Method> = Operation<P, M> extends { requestBody?: infer B } ? Json<NonNullable<B>> : undefined;

type Parameters<P extends keyof paths, M extends Method> = Operation<P, M> extends { parameters: infer All } ? All : never;
type Filled<A, Name extends "path" | "query"> = A extends Record<Name, infer Given> ? Record<Name, Given>
  : A extends Partial<Record<Name, infer Given>> ? Partial<Record<Name, NonNullable<Given>>> : object;
/** The gaps of an address, its query, and what `fetch` takes. */
export type Options<P extends keyof paths, M extends Method> = Filled<Parameters<P, M>, "path"> & Filled<Parameters<P, M>, "query"> & {
  signal?: AbortSignal;
  headers?: Record<string, string>;
};

/** The body of an answer that refuses (RFC 9457), with what only some of them carry. */
export type Problem = Partial<Schemas["Problem"]> & { head?: number; changed?: Changed[]; conflicts?: Changed[] };
/** What carries a sentence of the server's: its code and parameters, for the catalogues. */
export interface Coded {
  code?: unknown;
  params?: unknown;
}

/** What somebody else changed. */
export interface Changed {
  block: string;
  kind: string;
  who: string;
  what: string;
}

// --- parts of pages --------------------------------------------------------------------------------------------------

export interface Binding {
  /** "Shift+u", "Mod+z", "?"; none where only the palette has it. */
  key?: string;
  run: (event: KeyboardEvent) => unknown;
  says?: string;
  /** Whether it also counts while somebody types. */
  typed?: boolean;
  inDialog?: boolean;
  /** What the palette calls it; an action of the page where there is none. */
  kind?: "go" | "look" | "article" | "library";
  /** As the help shows it, where that is not the key. */
  shown?: string;
}

/** A ref of a component of ours, filled once it is drawn. */
export interface Ref<T> {
  current: T | null;
}

/** What an input tells of. */
export type InputOf<T extends HTMLElement = HTMLTextAreaElement> = InputEvent & { currentTarget: T; target: T };

export type Child = ComponentChildren;
export type Node = VNode | VNode[];

/** What is selected in a block that is, or was, typed over. Positions are of JavaScript strings. */
export interface Marked {
  block: string;
  text: string;
  from: number;
  to: number;
}

/** Where the caret goes in a text that is opened: a point of the window, with `anchor` a selection; the line beside a block that an arrow left. */
export type Caret = "start" | "end" | { pos: number } | { x: number; y: number; anchor?: { x: number; y: number } } | { by: 1 | -1; x: number };

/** What the editor is in the middle of. source: the text is edited as Markdown. */
export interface Mode {
  editing?: string;
  at?: Caret;
  source?: boolean;
  inserting?: { after: string | null; id: string; text: string; at?: Caret };
  placing?: string;
  crop?: string;
  export?: boolean;
}

// --- questions of a review -------------------------------------------------------------------------------------------

/** What the studio has a form for. A question about edits is the editor's. */
export type Question =
  | Schemas["OutlineQuestion"]
  | Schemas["DraftQuestion"]
  | Schemas["SpotsQuestion"]
  | Schemas["ImagesQuestion"]
  | Schemas["FinalQuestion"];
export type Shown = Question["action_request"]["args"];
/** A new spot has no id yet. */
export type ReviewSpot = Omit<Schemas["ShownSpot"], "id"> & { id?: string };
export type ReviewSpots = Omit<Schemas["ShownSpots"], "spots"> & { spots: ReviewSpot[] };
export type ReviewFigure = Schemas["ShownFigure"];
