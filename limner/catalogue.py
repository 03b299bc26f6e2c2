"""The English sentence of each code, in one place.

Values are Python format strings over the parameters of `limner.notes.note`. The studio's other languages have a message
for each of them (`surfaces/web/locales/notes.*.ftl`); a code, once released, keeps its meaning and its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

HISTORY = {
    "composed": "Composed",
    "illustrated": "Illustrated",
    "did-set-title": "Changed the title",
    "did-set-language": "Changed the language",
    "did-set-text": "Edited a block",
    "did-insert-text": "Inserted text",
    "did-delete-block": "Deleted a block",
    "did-move-block": "Moved a block",
    "did-merge-blocks": "Joined two blocks",
    "did-split-block": "Split a block",
    "did-place-image": "Placed an image",
    "did-swap-image": "Swapped an image",
    "did-move-image": "Moved an image",
    "did-remove-image": "Removed an image",
    "did-describe-image": "Described an image",
    "did-crop-image": "Cropped an image",
    "did-lock": "Locked",
    "did-unlock": "Unlocked",
    "did-set-text-of": "Edited {part}",
    "did-delete-block-of": "Deleted {part}",
    "did-move-block-of": "Moved {part}",
    "did-split-block-of": "Split {part}",
    "did-swap-image-of": "Swapped {part}",
    "did-move-image-of": "Moved {part}",
    "did-remove-image-of": "Removed {part}",
    "did-describe-image-of": "Described {part}",
    "did-crop-image-of": "Cropped {part}",
    "part-paragraph": "paragraph {n}",
    "part-heading": "the heading “{title}”",
    "part-block": "block {n}",
    "part-image": "image {n}",
    "times": "{line} ({n} times)",
    "edits": "{done}",
    "accepted": "Accepted as it is",
    "undid": "Undid: {line}",
    "redid": "Redid: {line}",
    "went-to": "Went to version {n}",
    "went-back": "Went back to: {line}",
}
"""Entries of an article's history."""

CHANGES = {
    "nothing-to-undo": "Job {job} is at its first version: there is nothing to undo.",
    "nothing-to-redo": "Job {job} is at the end of its line: there is nothing to redo.",
    "changed-by-others": "Others keep changing job {job}. Try again in a moment.",
    "changed-just-now": "Job {job} was changed this very moment. Ask again.",
    "versions-full": "Job {job} has {most:,} versions, and no room for more. Export it.",
    "revise-waiting": "Job {job} is {state}: there is nothing to revise yet. Its draft is changed by answering it.",
    "revise-unfinished": "Job {job} is {state}: there is nothing to revise yet. Wait until it is done.",
    "version-behind": "The article is at version {head}, not {version}: {line}. Look at it and send the change again "
    "for that version, or let it be merged.",
    "merge-refused": "The change cannot be merged into version {head}: {line}. Look at it and make the change there.",
    "version-forgotten": "The article is at version {head}, and version {version} is not kept any more: somebody typed "
    "on there. Look at it and send the change again for that version.",
    "changed-back": "Job {job} was changed and changed back this very moment. Try again.",
    "no-version": "Job {job} has no version {n}. `limner revise versions {job}` lists its versions.",
    "edit-of": "Edit {n} of {of} ({do}): {line}",
    "no-block": "There is no block {id!r} in the article. Show it again: it may have been deleted.",
    "no-image": "There is no image {id!r} in the article. Show it again: it may have been removed.",
    "title-empty": "The title is empty. Give it at least one word.",
    "nothing-follows": "No block follows this one to join it with. Name the block before it.",
    "part-empty": "One part of the block would be empty. Cut it within the text.",
    "image-there": "That image is in the article already. Move it, or remove it there first.",
    "no-text": "There is no text that would show. Write some, or delete the block.",
    "block-locked": "The block {id} is locked. Unlock it first.",
    "image-locked": "The image {id} is locked where it stands. Unlock it first.",
}
"""Why a change to an article was refused."""

CHOICES = {
    "by-person": "Chosen by a person.",
    "kept-best": "Kept: {p:g} % likely, above all by {by} ({z:.1f} deviations above chance); in the best set.",
    "kept-chosen": "Kept as chosen: {p:g} % likely, above all by {by} ({z:.1f} deviations above chance).",
    "kept-instead": "Kept in place of the choice, which fits better elsewhere or not at all: {p:g} % likely, above all "
    "by {by} ({z:.1f} deviations above chance).",
    "by-words": "words that it shares with the text",
    "by-caption": "the meaning of its caption",
    "by-clip": "what it shows",
    "by-plugin": "what a plug-in measured",
    "by-nothing": "nothing: it has no caption, and what it shows is not searched",
    "empty-nothing": "Empty: the selector, or a person, found that nothing fits here.",
    "empty-none": "Empty: no candidates were found.",
    "empty-another": "Empty: another spot has the image after this paragraph.",
    "empty-unlikely": "Empty: the best candidate is {p:g} % likely and {least} % is needed; most speaks for it by {by} "
    "({z:.1f} deviations above chance).",
    "empty-elsewhere": "Empty: other places gain more; the best candidate here is {p:g} % likely, above all by {by} "
    "({z:.1f} deviations above chance).",
    "kept-doubted": "{line} But the model that looked at it says that it does not show what this place wants: {reason}",
    "choice-unread": "The selector's answer could not be read twice; similarity decides.",
    "reranker-unread": "The reranker's scores are no numbers; similarity decides.",
    "choice-once": "The selector's second answer could not be read; its first one counts.",
    "by-captions": "Judged by captions: {line}",
    "selector-refused": "Similarity decides, because the selector's server refused: {line}",
    "selector-blind": "The selector's server takes no images; similarity decides.",
}
"""Why a spot has the image that it has, or none."""

FALLBACKS = {
    "no-outline": "The writer's model makes no outline: its review was skipped.",
    "spots-from-text": "The spotter's answer could not be read twice; places were proposed from the text alone.",
    "spot": "Spot {id}: {line}",
    "broke-off": "The writer's answer broke off; its unfinished end was left out.",
    "small-writer": "Written by {model}, which writes fluently and errs often: check its facts before you use "
    "them, or set LIMNER_MODEL_URL to a larger model.",
    "language-unknown": "The language of the draft is unknown. Set it with --language, or with lang: in its "
    "front matter.",
    "ends-early": "The article ends early: {line}",
    "brief-cut": "Only the first {n} sentences of the brief and sources were considered.",
    "sections-missing": "Nothing usable was written for: {headings}.",
    "writer-title-only": "{model} writes from a title alone; it has not read {names}.",
    "writer-language": "{model} was trained on Chinese and English; it was not asked to write in {language!r}.",
    "selector-small": "{model} is too small to judge images: they were chosen by their similarity to the text. "
    "Set LIMNER_MODEL_URL (or --model-url) to a vision-language model to have them looked at.",
    "selector-sees-nothing": "{model} does not see images ({reason}): they were chosen by their captions. Set "
    "LIMNER_SELECTOR_MODEL to a vision-language model to have them looked at.",
    "too-few-images": "{placed} of {wanted} images were placed: {places} paragraphs can carry one, and {found} images "
    "were found for them. Ask for fewer images, or add to the text or the library.",
    "nothing-to-add": "No image was added: what fits is in the draft already. Add pictures to the library, or text.",
    "outside-time": "{n} pictures were left out: their embargo has not ended, or they have expired.",
    "placed-outside-time": "{n} pictures of the article are outside their time: their embargo has not ended, or they "
    "have expired. Replace them, or publish in their time.",
    "look-by-captions": "The library {name} has no picture encoder: pictures were compared by their captions. To "
    "compare what they show: `limner library add {name} --encoder siglip2`.",
    "filters-nothing": "No picture of {names} passes the filters: {filters}. Take one away, or look which facts the "
    "pictures have.",
    "unused-unknown": "unused={n} had no effect: there is no record of earlier articles here.",
    "facts-unread": "{n} pictures of {name} were read by an older limner, which kept no facts, embargo or expiry: "
    "`limner library add {name}` reads them.",
    "not-generated": "No image was generated: {line}",
    "picture-contradicts": "The picture {caption!r} does not show what its place wants, says the model that looked at "
    "it: {reason} Look at it, and keep or swap it.",
    "pictures-unchecked": "{n} pictures were not checked against their captions: {line}",
    "check-unread": "the model's answer could not be read twice.",
    "spot-empty": "Spot {id} stays empty: {line}",
    "nothing-changed": "Nothing was changed: {line}",
    "no-price": "A limit of money needs a price, and limner knows none for this model. Write it into prices.toml in "
    "limner's home (0 if it is free; docs/models.md), or limit the tokens instead.",
    "cost-budget": "The limit of {budget} allows no further call: {spent} are spent and the next costs up to {needed}. "
    "Give a larger --max-cost to go on.",
    "token-budget": "The token budget of {budget} allows no further call: {spent} are spent and the next needs up to "
    "{needed}. Give a larger --max-tokens to go on.",
}
"""Fallbacks; most are notes of an article."""

REVIEW = {
    "review-outline": "What the article will cover. It is written once you answer.",
    "review-draft": "The text. Places for images are chosen once you answer.",
    "review-spots": "Where images will stand and what they will show. The library is searched once you answer.",
    "review-images": "The image at each place, and what else was found for it.",
    "review-final": "The article as it would be.",
    "review-edits": "{n} changes are proposed.",
    "asked-again": "{said} {about}",
    "not-taken": "The answer could not be taken: {line}",
    "earlier-version": "This answers an earlier version: the question has changed since you read it. Read the job's "
    "question again and answer that.",
    "asks-nothing": "Job {job} is {state} and asks nothing: it was answered already, or never asked. Show it to "
    "see its progress.",
    "answer-shape": 'The answer is not an object. Send {{"type": "accept", "version": "…"}} or another type.',
    "answer-field": "{field}: {line}.",
    "answer-version-missing": 'version: it is missing. Repeat the "version" of the question that you answer.',
    "answer-not-allowed": "type: {type!r} is not possible here, the model takes no instructions. Edit it instead.",
    "image-twice": "The same image would stand at two places. Choose another for one of them.",
}
"""Questions to a person, and reasons why an answer was refused."""

JOBS = {
    "worker-ended": "its worker {how}",
    "process-hung": "hung and was killed",
    "process-memory": "was killed because memory ran out",
    "process-died": "died of {signal}",
    "process-killed": "was killed by {signal}",
    "process-exit": "ended with exit code {n}",
    "process-ended": "ended",
    "worker-died": "its worker died",
    "worker-silent": "its worker gave no sign of life",
    "at-step": "{line} at {step}",
    "set-aside": "Set aside: {n} times in a row, {line}. See its log; then: limner jobs retry {job}",
    "tried": "{line} (tried {n} times; then: limner jobs retry {job})",
    "no-answer": "Nothing answers at {url}. Start the server or check --model-url / LIMNER_MODEL_URL; `limner doctor` "
    "tries it.",
    "reranker-away": "No reranker answers at {url}. Start it or check LIMNER_RERANKER_URL, or unset that to have the "
    "selector's model choose; `limner doctor` tries it.",
    "broke": "The connection to {url} broke while it was answering ({reason}). Check the server, then run the command "
    "again.",
    "reply-unreadable": "The model's answer could not be read: {line}",
    "too-long": "It took longer than {n:.0f} s. Raise LIMNER_JOB_SECONDS, then retry it.",
    "spent-waits": "{who} has spent today's {tokens} tokens. It resumes at midnight UTC.",
    "money-waits": "{who} has spent today's {limit}. It resumes at midnight UTC.",
    "spent-stops": "{who} has reached today's limit. It resumes at midnight UTC, or retry it under a higher limit.",
    "at-midnight": "It resumes at midnight UTC.",
    "unforeseen": "{kind}: {line}",
    "spent-today": "{who} has reached today's limit of tokens or money. Ask again after midnight UTC.",
    "disk-full": "The disk is full ({path}). Free some room.",
}
"""Why a job failed, waits or was set aside."""

REQUESTS = {
    "brief-empty": 'The brief is empty. Say what the article is about: limner compose "How bees make honey".',
    "no-paragraph": "The draft has no paragraph that an image could stand after. Give a text with paragraphs.",
    "no-job": "There is no job {job!r}. `limner jobs list` lists your jobs.",
    "job-deleted": "The job {job!r} was deleted just now.",
    "no-article-yet": "Job {job} is {state} and has no article yet. Wait for it: its events tell when it is done.",
    "no-article": "Job {job} is {state} and has no article. {line}",
    "limit-spent": "{job} has already spent {spent}, so a limit of {limit} stops it at once. Give a larger one.",
    "retry-it": "Retry it.",
    "retry-done": "Job {job} is {state}: there is nothing to retry. Submit it again for another article.",
    "retry-waiting": "Job {job} is {state}: there is nothing to retry. Answer its question.",
    "retry-unended": "Job {job} is {state}: there is nothing to retry. Wait for it, or cancel it first.",
    "cannot-cancel": "Job {job} is {state} already and cannot be cancelled.",
    "key-used": "The Idempotency-Key {key!r} was used for another request, job {job}. Use a new key for a new job.",
    "jobs-a-minute": "{who} may submit {most} jobs a minute; {n} came in the last one and {more} more are asked for. "
    "Wait a minute, or have the limit raised with `limner token limit`.",
    "batch-too-large": "{n} jobs are more than the {most} that one batch takes. Send several.",
    "batch-empty": "There is nothing to submit. Give at least one brief or draft.",
    "no-batch": "There is no batch {batch!r}. Jobs that were submitted together name theirs.",
    "draft-alone": "A draft is left as it is: sources and references go with a brief.",
    "uploads-full": "{who} has {most:,} images of their own here. Put them into a library instead.",
    "no-upload": "There is no image {image!r} of yours. Upload it first: POST /v1/images.",
    "no-image-of-yours": "You have no image {image}. GET /v1/images lists your images.",
    "no-image-of-article": "The article of job {job!r} has no image {image}. Its JSON lists those it has.",
    "page-gone": "The library {library} has no image {image} any more. Begin again, without `after`.",
    "cursor-unknown": "The cursor is not one that was given out. Ask for the first page again.",
    "query-empty": "The query is empty. Say what the image should show: ?q=harvest at dusk",
    "library-removed": "The library {name!r} is not there. It was removed; put it back.",
    "starter-not-made": "The library {name!r} is not there. The first job that uses it makes it.",
    "no-model": "There is no model {model!r} for you. The models are: {models}.",
    "no-library": "There is no library {name!r} for you. `limner library list` lists yours.",
    "no-review-point": "Unknown review point {point!r}. Choose one of {points}.",
    "no-generator": "The generator {name!r} is not enabled for jobs. See LIMNER_GENERATORS.",
    "look-empty": "Say what to look for: words, or pictures that the result should be like.",
    "look-unlike": "A search needs something to look for. Add words, or pictures that the result should be like.",
    "look-many": "Give at most {most} pictures to be like, and as many to be unlike.",
    "look-unknown": "None of the libraries has the image {id!r}. Search them again.",
    "look-needs-encoder": "The library {name} has no picture encoder and cannot compare a picture from outside with "
    "its own. Give it one with `limner library add {name} --encoder siglip2`, or describe the picture in words.",
    "look-says-nothing": "Nothing is said about the example, and the library {name} has no picture encoder. Write its "
    "caption, or give the library one with `limner library add {name} --encoder siglip2`.",
    "library-without-images": "The library {name} has no images: `limner library add {name} FOLDER`.",
    "library-being-written": "Another limner is writing the library {name}: try again when it is done.",
    "library-image": "The library {name} has no image {id}. Search it again.",
    "caption-empty": "The caption is empty. Say what the image shows, or restore the folder's caption.",
    "words-long": "{field}: it has {n:,} characters, more than {most:,}. Shorten it.",
    "filter-unknown": "{text!r} is no filter. Write a field, a sign and a value, such as licence=CC BY or date>=2020; "
    "the fields are: {fields}.",
    "filter-value": "{text!r}: {wanted}. The fields are: {fields}.",
    "filter-date": "{field} takes a date such as 2020, 2020-05 or 2020-05-31",
    "filter-number": "{field} takes a whole number",
    "filter-text": "{field} takes = or !=",
    "filter-one-of": "{field} takes = and one of {values}",
    "filter-unused": "unused takes = and a number of articles from 1 to {most}",
    "filter-short": "a filter has at most {most} characters",
    "filters-many": "{n} filters are more than {most}. Give fewer.",
    "captions-shared": "Everybody uses the captions of {name}. Ask whoever runs this installation to change them.",
    "search-empty": "The caption is empty. Say what the image should show.",
    "file-empty": "The file is empty. Send an image.",
    "file-unusable": "The file cannot be used: {line}.",
    "in-use": "The image is in use: {line}",
    "use-shown": '"{title}" (job {job}) shows it. Remove it there first, or delete that article.',
    "use-version": 'version {n} of "{title}" (job {job}) shows it. Delete that article first.',
    "use-making": "job {job} ({title}) is not done and may take it. Wait for it, or delete it.",
    "libraries-gone": "{n} of its images are left out: their library was deleted ({names}).",
    "no-room": "The disk of this service is full. Nothing was kept. Try again later, or tell whoever runs it.",
    "too-many-at-once": "{n} of your requests of this kind wait already. Wait until some are answered, then try again.",
    "too-large": "The body is larger than the {n:,} bytes that one request may have. Send less at a time.",
}
"""Why a request was refused."""

CAPTIONS = {
    "captions-embedded": "The embedded model does not see pictures. Get one that sees: limner setup. Or set "
    "LIMNER_MODEL_URL (or --model-url) to the server of a vision-language model.",
    "captions-blind": "{model} does not see pictures ({reason}). Set LIMNER_MODEL or LIMNER_SELECTOR_MODEL to a "
    "vision-language model; `limner doctor` tells whether it sees.",
    "captions-language": "{model} describes pictures in {known} only, not in {language!r}. Give --language with one of "
    "them, or use another model.",
    "uncaptioned-empty": "the model did not describe it",
    "uncaptioned-refused": "the model refused to describe it",
    "uncaptioned-echo": "the model repeated the question",
    "uncaptioned-language": "the model answered in another language",
    "uncaptioned-address": "the model answered with a web address",
    "uncaptioned-server": "the server refused it: {line}",
}
"""Captions by a model: why there are none for a library or a picture."""

ANSWERS = {
    "question-long": "The question has {n:,} characters, more than {most:,}. Ask a shorter one.",
    "question-embedded": "The embedded model answers no questions. Get one that sees: limner setup. Or set "
    "LIMNER_MODEL_URL (or --model-url) to the server of a vision-language model.",
    "question-about-nothing": "There is nothing to ask about. Give an article, or an image.",
    "question-pictures": "{n} pictures are more than {most}. Ask about fewer at a time.",
    "no-picture-number": "The article has no picture {number}; it has {n}. Count them in reading order, from 1.",
    "answer-blind": "{model} does not see pictures ({reason}): it answered from captions, credits and text. Set "
    "LIMNER_SELECTOR_MODEL to a vision-language model to have it look.",
    "answer-refused": "It answered from captions, credits and text, because its server refused the pictures: {line}",
    "answer-some-pictures": "It was shown the first {n} of {of} pictures. Name others to have it look at them.",
    "answer-some-blocks": "The article is long: it was shown the {n} of {of} blocks nearest to the question.",
    "answer-unopened": "It was not shown one picture: {line}",
}
"""Questions about an article: why one was refused, and what the model was not shown."""

PLAN = {
    "plan-write": "about {n} calls to {model}, {tokens} tokens",
    "plan-write-one": "about {n} call to {model}, {tokens} tokens",
    "plan-spot": "{n} calls to {model}, up to {spots} places, about {tokens} tokens",
    "plan-spot-one": "{n} call to {model}, up to {spots} places, about {tokens} tokens",
    "plan-text": "from the text, no call",
    "plan-retrieve": "one query for all places, in {names}",
    "plan-retrieve-starter": "one query for all places, in the starter library",
    "plan-similar": "by similarity, no call",
    "plan-look": "about {n} calls to {model}, {images} images in each, {tokens} tokens",
    "plan-rerank": "{n} calls to the reranker {model}, captions only, about {tokens} tokens",
    "plan-check": "up to {n} calls to {model} if it sees, one image in each, {tokens} tokens",
    "plan-fit": "images in the article: as many as fit",
    "plan-images": "images in the article: {n}",
    "plan-generate": "by {generator}: up to {n} images for places where nothing fits, labelled as generated",
    "plan-captions": "{n:,} pictures: about {n:,} calls to {model}, {tokens:,} tokens, {several} at a time; captions "
    "in {language!r}",
    "plan-caption": "1 picture: about 1 call to {model}, {tokens:,} tokens; a caption in {language!r}",
    "model-embedded": "the embedded SmolLM2-135M",
    "model-first": "the server's first model",
}
"""Estimates of a job's steps."""

ENGLISH: Mapping[str, str] = {
    **HISTORY, **CHANGES, **CHOICES, **FALLBACKS, **REVIEW, **JOBS, **REQUESTS, **CAPTIONS, **ANSWERS, **PLAN,
}  # fmt: skip
