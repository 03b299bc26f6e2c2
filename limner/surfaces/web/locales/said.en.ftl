### What the server says, as it says it. The studio knows its lines by these and shows those of its language;
### a line that is not here is shown as it came. { $line } is such a line itself, { $lines } a list of them.


# History
said-composed = Composed
said-illustrated = Illustrated
said-changed-title = Changed the title
said-changed-language = Changed the language
said-edited-block = Edited a block
said-inserted-text = Inserted text
said-deleted-block = Deleted a block
said-moved-block = Moved a block
said-joined-blocks = Joined two blocks
said-split-block = Split a block
said-placed-image = Placed an image
said-swapped-image = Swapped an image
said-moved-image = Moved an image
said-removed-image = Removed an image
said-described-image = Described an image
said-cropped-image = Cropped an image
said-was-locked = Locked
said-was-unlocked = Unlocked
said-times = { $line } ({ $n } times)
said-accepted = Accepted as it is
said-undid = Undid: { $line }
said-redid = Redid: { $line }
said-went-to = Went to version { $n }
said-went-back = Went back to: { $line }

# Changes that were refused
said-nothing-to-undo = Job { $job } is at its first version: there is nothing to undo.
said-nothing-to-redo = Job { $job } is at the end of its line: there is nothing to redo.
said-changed-by-others = Job { $job } is changed by others without a pause. Try again in a moment.
said-changed-back = Job { $job } was changed and changed back this very moment. Try again.
said-no-version = Job { $job } has no version { $n }. `limner revise versions { $again }` shows those there are.
said-edit-of = Edit { $n } of { $of } ({ $do }): { $line }
said-no-block = There is no block { $id } in the article. Show it again: it may have been deleted.
said-no-image = There is no image { $id } in the article. Show it again: it may have been removed.
said-empty-title = The title is empty. Give it a word at least.
said-nothing-follows = Nothing follows this block that it could be joined with. Name the one before it.
said-empty-part = One part of the block would be empty. Cut it within the text.
said-image-there = That image is in the article already. Move it, or take it out there first.
said-no-text = There is no text that would show. Write some, or delete the block.
said-block-locked = The block { $id } is locked. Unlock it first.
said-image-locked = The image { $id } is locked where it stands. Unlock it first.

# Why an image
said-relevance = relevance { $n }
said-by-person = Chosen by a person.
said-kept-best = Kept: { $line }, part of the best set.
said-kept-chosen = Kept as chosen: { $line }.
said-kept-instead = Kept in place of the choice, which serves better elsewhere or not at all: { $line }.
said-empty-nothing = Empty: nothing fits here, said whoever chose.
said-empty-none = Empty: no candidates were found.
said-empty-another = Empty: another spot has the image after this paragraph.
said-empty-least = Empty: the best candidate's relevance is { $n }, { $least } is needed.
said-empty-gain = Empty: other places gain more (best relevance here { $n }).

# Review
said-about-outline = What the article shall cover. It is written once you answer.
said-about-draft = The text. Places for images are looked for once you answer.
said-about-spots = Where images shall stand and what they shall show. The library is searched once you answer.
said-about-images = The image at each place, and what else was found for it.
said-about-final = The article as it would be.
said-not-taken = The answer could not be taken: { $line }
said-earlier-version = This answers an earlier version: the question has changed since you read it. Read the job's question again and answer that.
said-asks-nothing = Job { $job } is { $state } and asks nothing: it was answered already, or never asked. Show it to see how it goes on.
said-twice = The same image would stand at two places. Choose another for one of them.

# On the way
said-worker-died = its worker died at { $step }
said-worker-silent = its worker was not heard of at { $step }
said-worker-died-early = its worker died
said-worker-silent-early = its worker was not heard of
said-set-aside = Set aside: { $n } times in a row, { $line }. See its log; then: limner jobs retry { $job }
said-tried = { $line } (tried { $n } times; then: limner jobs retry { $job })
said-no-answer = Nothing answers at { $url }. Start the server or check --model-url / LIMNER_MODEL_URL; `limner doctor` tries it.
said-broke = The connection to { $url } broke while it was answering ({ $why }). Check the server, then run the command again.
said-unreadable = The model's answer could not be read: { $why }
said-too-long = It took longer than { $n } s. Raise LIMNER_JOB_SECONDS, then retry it.
said-no-outline = The writer's model makes no outline: the review of it was passed over.
said-spots-unread = The spotter's answer could not be read twice; places were proposed from the text alone.
said-choice-unread = The selector's answer could not be read twice; similarity decides.
said-choice-once = The selector's second answer could not be read; its first one counts.
said-broke-off = The writer's answer broke off; its unfinished end was left out.
said-spot-note = Spot { $id }: { $line }
said-nothing-changed = Nothing was changed: { $line }
said-by-captions = Judged by captions: { $why }

# Requests that were refused
said-brief-empty = The brief is empty. Say what the article is about: limner compose "How bees make honey".
said-no-paragraph = The draft has no paragraph that an image could stand after. Give a text with paragraphs.
said-spent-today = { $who } has spent today's tokens. Ask again after midnight UTC.
said-no-job = There is no job { $job }. `limner jobs list` shows those there are.
said-no-library = There is no library { $name } for you. `limner library list` shows them.
said-library-empty = The library { $name } has no images: `limner library add { $again } FOLDER`.
said-library-busy = Another limner is writing the library { $name }: try again when it is done.
said-library-image = The library { $name } has no image { $id }. Search it again.
said-caption-empty = The caption is empty. Say what the image shows, or give it up for what the folder says.
said-words-long = { $field }: it has { $n } characters, more than { $most }. Shorten it.
said-captions-shared = The captions of { $name } are everybody's. Ask whoever runs this installation to change them.
said-search-empty = The caption is empty. Say what the image should show.
said-file-empty = The file is empty. Send an image.
said-file-unusable = The file cannot be used: { $why }.
said-in-use = The image is in use: { $line }
said-use-shown = { "" }"{ $title }" (job { $job }) shows it. Take it out there first, or delete that article.
said-use-version = version { $n } of "{ $title }" (job { $job }) shows it. Delete that article first.
said-use-making = job { $job } ({ $title }) is not done and may take it. Wait for it, or delete it.
said-too-large = The body is larger than the { $n } bytes that one request may have. Send less at a time.
said-model-nothing = the model's answers could not be used.

# What it will take
said-plan-look = about { $n } calls to { $line }, { $images } images in each, { $tokens } tokens
said-plan-write-one = about { $n } call to { $line }, { $tokens } tokens
said-plan-write = about { $n } calls to { $line }, { $tokens } tokens
said-plan-spot-one = { $n } call to { $line }, up to { $spots } places, about { $tokens } tokens
said-plan-spot = { $n } calls to { $line }, up to { $spots } places, about { $tokens } tokens
said-plan-retrieve-starter = one query for all places, in the starter library
said-plan-retrieve = one query for all places, in { $names }
said-plan-similar = by similarity, no call
said-plan-text = from the text, no call
said-plan-fit = images in the article: as many as fit
said-plan-images = images in the article: { $n }
said-plan-embedded = the embedded SmolLM2-135M
said-plan-first = the server's first model
