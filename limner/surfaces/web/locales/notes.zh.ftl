### 服务器的句子，按代码给出；英文在 limner/catalogue.py。没有在此的代码显示服务器的原文。

# 历史
note-composed = 写成
note-illustrated = 配图完成
note-did-set-title = 改标题
note-did-set-language = 改语言
note-did-set-text = 改一段
note-did-insert-text = 插入文字
note-did-delete-block = 删除一段
note-did-move-block = 移动一段
note-did-merge-blocks = 合并两段
note-did-split-block = 拆分一段
note-did-place-image = 放入图片
note-did-swap-image = 换图
note-did-move-image = 移动图片
note-did-remove-image = 移除图片
note-did-describe-image = 改图片文字
note-did-crop-image = 裁剪图片
note-did-lock = 锁定
note-did-unlock = 解锁
note-did-set-text-of = 改{ $part }
note-did-delete-block-of = 删除{ $part }
note-did-move-block-of = 移动{ $part }
note-did-split-block-of = 拆分{ $part }
note-did-swap-image-of = 换{ $part }
note-did-move-image-of = 移动{ $part }
note-did-remove-image-of = 移除{ $part }
note-did-describe-image-of = 改{ $part }的文字
note-did-crop-image-of = 裁剪{ $part }
note-part-paragraph = 第 { $n } 段
note-part-heading = 标题“{ $title }”
note-part-block = 第 { $n } 块
note-part-image = 第 { $n } 张图片
note-times = { $line }（{ $n } 次）
note-edits = { $done }
note-accepted = 原样接受
note-undid = 撤销：{ $line }
note-redid = 重做：{ $line }
note-went-to = 回到版本 { $n }
note-went-back = 退回：{ $line }

# 被拒绝的修改
note-nothing-to-undo = 已是第一版，没有可撤销的。
note-nothing-to-redo = 已是最后一步，没有可重做的。
note-changed-by-others = 别人正在不停地修改。请稍候再试。
note-changed-just-now = 刚刚被改动。请再试。
note-versions-full = 已有 { $most } 个版本，不能再多。请导出。
note-revise-waiting = 还不能修改：正在等待审阅。回答即可改动草稿。
note-revise-unfinished = 还不能修改：文章还没有写完。请等待。
note-version-behind = 文章已是版本 { $head }，不是 { $version }：{ $line }。请查看后再改，或合并。
note-merge-refused = 不能合并到版本 { $head }：{ $line }。请查看后在那里改。
note-version-forgotten = 文章已是版本 { $head }，版本 { $version } 已不再保留。请查看后再改。
note-changed-back = 刚刚被改动又改回。请再试。
note-no-version = 没有版本 { $n }。
note-edit-of = 第 { $n } 项修改（共 { $of } 项，{ $do }）：{ $line }
note-no-block = 文章里没有这一段，可能已被删除。请重新打开。
note-no-image = 文章里没有这张图片，可能已被移除。请重新打开。
note-title-empty = 标题是空的，至少写一个词。
note-nothing-follows = 后面没有可合并的段落。
note-part-empty = 有一部分会是空的。请在文字中间拆分。
note-image-there = 这张图片已在文章中。请移动它，或先移除。
note-no-text = 没有可显示的文字。请写一些，或删除这一段。
note-block-locked = 这一段已锁定。请先解锁。
note-image-locked = 这张图片已锁定。请先解锁。

# 为何选图
note-by-person = 由人选定。
note-kept-best = 保留：适合此处的可能性为 { $p } %，主要依据{ $by }（高出偶然水平 { $z } 个标准差）；属于最佳组合。
note-kept-chosen = 按选择保留：适合此处的可能性为 { $p } %，主要依据{ $by }（高出偶然水平 { $z } 个标准差）。
note-kept-instead = 代替原选择保留；原选择在别处更合适或根本不合适：可能性为 { $p } %，主要依据{ $by }（高出偶然水平 { $z } 个标准差）。
note-by-words = 与正文共有的词语
note-by-caption = 图片说明的含义
note-by-clip = 画面内容
note-by-plugin = 插件的度量
note-by-nothing = 无：没有图片说明，也未检索画面内容
note-empty-nothing = 空缺：选图者认为没有合适的。
note-empty-none = 空缺：没有找到候选图。
note-empty-another = 空缺：这一段之后已有图片。
note-empty-unlikely = 空缺：最佳候选适合此处的可能性为 { $p } %，需要 { $least } %；其主要依据是{ $by }（高出偶然水平 { $z } 个标准差）。
note-empty-elsewhere = 空缺：别处更值得。此处最佳候选的可能性为 { $p } %，主要依据{ $by }（高出偶然水平 { $z } 个标准差）。
note-choice-unread = 选图的回答两次无法读取；由相似度决定。
note-reranker-unread = 重排模型给出的分数不是数字；由相似度决定。
note-choice-once = 选图的第二次回答无法读取；以第一次为准。
note-by-captions = 根据图注判断：{ $line }
note-selector-refused = 选图的服务器拒绝了，由相似度决定：{ $line }
note-selector-blind = 选图的服务器不接受图片；由相似度决定。

# 代替的做法
note-no-outline = 写作模型不做提纲：提纲审阅已略过。
note-spots-from-text = 选位的回答两次无法读取；位置仅由正文得出。
note-spot = 位置 { $id }：{ $line }
note-broke-off = 写作的回答中断；未完的结尾已去掉。
note-small-writer = 由 { $model } 写成，它文笔流畅但常出错：使用前请核对事实，或把 LIMNER_MODEL_URL 设为更大的模型。
note-language-unknown = 不知道草稿的语言。请用 --language 或正文开头的 lang: 说明。
note-ends-early = 文章提前结束：{ $line }
note-brief-cut = 只采用了要求和材料的前 { $n } 句。
note-sections-missing = 这些部分没有写出可用的内容：{ $headings }。
note-writer-title-only = { $model } 只按标题写作；它没有读 { $names }。
note-writer-language = { $model } 用中文和英文训练；没有要求它用 { $language } 写。
note-selector-small = { $model } 太小，无法判断图片：按图片与正文的相似度选图。要让模型看图，请把 LIMNER_MODEL_URL 设为视觉语言模型。
note-selector-sees-nothing = { $model } 看不到图片（{ $reason }）：按图注选图。要让模型看图，请把 LIMNER_SELECTOR_MODEL 设为视觉语言模型。
note-too-few-images = 放入了 { $wanted } 张图片中的 { $placed } 张：可配图的段落有 { $places } 段，找到的图片有 { $found } 张。请减少图片，或补充正文或图库。
note-nothing-to-add = 没有添加图片：合适的已在草稿中。请向图库添加图片，或补充正文。
note-outside-time = 有 { $n } 张图片未采用：禁用期未过，或已过期。
note-placed-outside-time = 文章中有 { $n } 张图片不在可用期内：禁用期未过，或已过期。请更换，或在可用期内发布。
note-look-by-captions = 图库 { $name } 没有图片编码器：图片按图注比较。要按画面比较：`limner library add { $name } --encoder siglip2`。
note-filters-nothing = { $names } 中没有图片符合条件：{ $filters }。请去掉一个条件，或看看图片有哪些信息。
note-unused-unknown = unused={ $n } 没有作用：这里没有以前文章的记录。
note-facts-unread = { $name } 中有 { $n } 张图片由旧版 limner 读取，没有这些信息，也没有禁用期和有效期：`limner library add { $name }` 会重新读取。
note-not-generated = 没有生成图片：{ $line }
note-spot-empty = 位置 { $id } 空缺：{ $line }
note-nothing-changed = 没有修改：{ $line }
note-no-price = 费用上限需要单价，而 limner 不知道这个模型的单价。请把单价写进 limner 主目录下的 prices.toml（免费则写 0），或改用 --max-tokens。
note-cost-budget = 费用上限 { $budget } 不够再调用：已花 { $spent }，下一次最多需要 { $needed }。请提高上限后继续。
note-token-budget = 词元预算 { $budget } 不够再调用：已用 { $spent } 个，下一次最多需要 { $needed } 个。请提高上限后继续。

# 审阅
note-review-outline = 文章将涵盖的内容。你回答后开始写。
note-review-draft = 正文。你回答后开始找配图位置。
note-review-spots = 图片放在哪里、表现什么。你回答后开始搜索图库。
note-review-images = 每处的图片，以及找到的其他图片。
note-review-final = 文章将是这样。
note-review-edits = 建议 { $n } 处修改。
note-asked-again = { $said } { $about }
note-not-taken = 无法采用这个回答：{ $line }
note-earlier-version = 这是对旧问题的回答：问题已有变化。请重新阅读后再答。
note-asks-nothing = 现在没有要回答的：已经回答过了。
note-answer-shape = 回答的格式不对。请给出 type 和 version。
note-answer-field = { $field }：{ $line }。
note-answer-version-missing = 缺少 version。请重复所回答问题的版本。
note-answer-not-allowed = 这里不能用 { $type }：模型不接受指示。请直接编辑。
note-image-twice = 同一张图片会出现在两处。请为其中一处另选。

# 进行中
note-worker-ended = 它的工作进程{ $how }
note-worker-died = 它的工作进程中断
note-worker-silent = 它的工作进程失去联系
note-process-hung = 停止响应，已被结束
note-process-memory = 因内存不足被结束
note-process-died = 因 { $signal } 中断
note-process-killed = 被 { $signal } 结束
note-process-exit = 以退出码 { $n } 结束
note-process-ended = 已结束
note-at-step = { $line }（{ $step } 步骤）
note-set-aside = 已搁置：连续 { $n } 次，{ $line }。请查看日志，然后继续。
note-tried = { $line }（已试 { $n } 次）
note-reranker-away = { $url } 没有重排模型回应。请启动它，或检查 LIMNER_RERANKER_URL；也可以取消该变量，由选图模型来选。可用 limner doctor 检查。
note-no-answer = { $url } 没有回应。请启动模型服务器，或检查 LIMNER_MODEL_URL。
note-broke = 与 { $url } 的连接在回答途中断开（{ $reason }）。请检查服务器。
note-reply-unreadable = 模型的回答无法读取：{ $line }
note-too-long = 用时超过 { $n } 秒。请提高 LIMNER_JOB_SECONDS 后继续。
note-spent-waits = 今天的 { $tokens } 个词元已用完。UTC 零点后继续。
note-spent-stops = 今天的词元已用完。{ $line }
note-spent-today = 今天的词元已用完。请在 UTC 零点后再试。
note-at-midnight = UTC 零点后继续。
note-disk-full = 磁盘已满（{ $path }）。请腾出空间。
note-unforeseen = { $kind }：{ $line }

# 被拒绝的请求
note-job-deleted = 这篇文章刚被删除。
note-no-article-yet = 文章还没有写完。请等待。
note-no-article = 没有写成文章。{ $line }
note-limit-spent = 已花 { $spent }，上限 { $limit } 会让它立即停下。请给出更高的上限。
note-retry-it = 请重试。
note-retry-done = 文章已完成，无需重试。要写另一篇，请重新提交。
note-retry-waiting = 正在等待审阅，无需重试。请先回答。
note-retry-unended = 还没有结束，无需重试。请等待，或先取消。
note-cannot-cancel = 已经结束，不能取消。
note-key-used = 这个 Idempotency-Key 已用于另一个请求（{ $job }）。新任务请用新的。
note-jobs-a-minute = 每分钟最多提交 { $most } 个任务；上一分钟已有 { $n } 个，又提交了 { $more } 个。请等一分钟。
note-batch-too-large = 一次最多提交 { $most } 个任务，这里有 { $n } 个。请分批提交。
note-batch-empty = 没有可以提交的内容。请至少给一个要求或一篇草稿。
note-no-batch = 没有这一批任务。
note-draft-alone = 草稿保持原样：资料和参考图片只能与要求一起给。
note-uploads-full = 自己的图片已有 { $most } 张。请改放到图库里。
note-no-upload = 没有这张图片。请先上传。
note-no-image-of-yours = 没有这张图片。
note-no-image-of-article = 文章里没有这张图片。
note-page-gone = 图库 { $library } 里已没有这张图片。请从头开始。
note-cursor-unknown = 页码标记无效。请从第一页开始。
note-query-empty = 搜索内容是空的。请说明图片应表现什么。
note-library-removed = 图库 { $name } 已被移除。请放回去。
note-starter-not-made = 图库 { $name } 还没有。第一个用到它的任务会建立它。
note-no-model = 没有模型 { $model }。可用的有：{ $models }。
note-brief-empty = 内容是空的。请说明文章写什么。
note-no-paragraph = 草稿里没有可以配图的段落。
note-no-job = 没有这篇文章。
note-no-library = 没有图库 { $name }。
note-no-review-point = 没有审阅点 { $point }。请从这些中选：{ $points }。
note-no-generator = 这里没有启用生成器 { $name }。请看 LIMNER_GENERATORS。
note-look-empty = 请说明要找什么：文字，或要相似的图片。
note-look-unlike = 搜索需要目标。请加上文字，或要相似的图片。
note-look-many = 相似的图片最多 { $most } 张，不相似的也是。
note-look-unknown = 没有图库含有图片 { $id }。请重新搜索。
note-look-needs-encoder = 图库 { $name } 没有图片编码器，无法比较外来的图片。请用 `limner library add { $name } --encoder siglip2` 加上，或用文字描述。
note-look-says-nothing = 示例图片没有文字说明，图库 { $name } 也没有图片编码器。请写图注，或用 `limner library add { $name } --encoder siglip2` 加上。
note-library-without-images = 图库 { $name } 里没有图片。
note-library-being-written = 图库 { $name } 正在被写入，请稍后再试。
note-library-image = 图库 { $name } 里没有这张图片。请重新搜索。
note-caption-empty = 图注是空的。请写图片表现什么，或改回文件夹里的。
note-words-long = 太长：{ $n } 个字符，最多 { $most } 个。
note-filter-unknown = “{ $text }”不是筛选条件。请写字段、符号和值，如 licence=CC BY 或 date>=2020；字段有：{ $fields }。
note-filter-value = “{ $text }”：{ $wanted }。字段有：{ $fields }。
note-filter-date = { $field } 的值是日期，如 2020、2020-05 或 2020-05-31
note-filter-number = { $field } 的值是整数
note-filter-text = { $field } 只能用 = 或 !=
note-filter-one-of = { $field } 只能用 =，值为 { $values } 之一
note-filter-unused = unused 只能用 =，值为 1 到 { $most } 的文章数
note-filter-short = 一个条件最多 { $most } 个字符
note-filters-many = { $n } 个筛选条件超过了 { $most } 个。请减少一些。
note-captions-shared = { $name } 的图注是大家共用的，请联系管理员修改。
note-search-empty = 图注是空的。请说明图片应表现什么。
note-file-empty = 文件是空的。
note-file-unusable = 无法使用这个文件：{ $line }。
note-in-use = 图片在使用中：{ $line }
note-use-shown = “{ $title }”用到了它。请先在那里移除，或删除那篇文章。
note-use-version = “{ $title }”的版本 { $n } 用到了它。请先删除那篇文章。
note-use-making = “{ $title }”还没写完，可能会用到它。请等待，或删除它。
note-libraries-gone = 省略了 { $n } 张图片：其图库已被删除（{ $names }）。
note-no-room = 服务的磁盘已满，未保存任何内容。请稍后再试，或告知管理员。
note-too-many-at-once = 你已有 { $n } 个同类请求在等待。请等其中一些完成后再发送。
note-too-large = 超过一次请求的上限 { $n } 字节。

# 由模型写图注
note-captions-embedded = 内置模型看不见图片。请用 LIMNER_MODEL_URL（或 --model-url）指定一个视觉语言模型的服务器。
note-captions-blind = { $model } 看不见图片（{ $reason }）。请用 LIMNER_MODEL 或 LIMNER_SELECTOR_MODEL 指定一个视觉语言模型。
note-captions-language = { $model } 只用 { $known } 描述图片，不用“{ $language }”。请选其中一种语言，或换一个模型。
note-uncaptioned-empty = 模型没有描述它
note-uncaptioned-refused = 模型拒绝描述它
note-uncaptioned-echo = 模型重复了问题
note-uncaptioned-language = 模型用了另一种语言回答
note-uncaptioned-address = 模型的回答里有网址
note-uncaptioned-server = 服务器拒绝了它：{ $line }

# 关于文章的提问
note-question-long = 问题有 { $n } 个字符，超过 { $most } 个。请问得短一些。
note-question-embedded = 内置模型不能回答问题。请用 LIMNER_MODEL_URL（或 --model-url）指定一个视觉语言模型的服务器。
note-question-about-nothing = 没有可提问的内容。请给出一篇文章或一张图片。
note-question-pictures = { $n } 张图片超过了上限 { $most } 张。请减少每次提问的图片。
note-no-picture-number = 文章没有第 { $number } 张图片，共有 { $n } 张。请按阅读顺序从 1 数起。
note-answer-blind = { $model } 看不见图片（{ $reason }）：它根据图注、署名和正文回答。要让模型看图，请把 LIMNER_SELECTOR_MODEL 设为视觉语言模型。
note-answer-refused = 服务器拒绝了图片，它根据图注、署名和正文回答：{ $line }
note-answer-some-pictures = 它只看了 { $of } 张图片中的前 { $n } 张。请指明其他图片让它看。
note-answer-some-blocks = 文章很长：它只读了 { $of } 个段落中与问题最接近的 { $n } 个。
note-answer-unopened = 有一张图片没有给它看：{ $line }

# 预计
note-plan-captions = { $n } 张图片：约 { $n } 次调用 { $model }，{ $tokens } 个词元，同时 { $several } 次；图注用“{ $language }”
note-plan-caption = 1 张图片：约 1 次调用 { $model }，{ $tokens } 个词元；图注用“{ $language }”
note-plan-look = 约 { $n } 次调用 { $model }，每次 { $images } 张图片，{ $tokens } 个词元
note-plan-write-one = 约 { $n } 次调用 { $model }，{ $tokens } 个词元
note-plan-write = 约 { $n } 次调用 { $model }，{ $tokens } 个词元
note-plan-spot-one = { $n } 次调用 { $model }，最多 { $spots } 处，约 { $tokens } 个词元
note-plan-spot = { $n } 次调用 { $model }，最多 { $spots } 处，约 { $tokens } 个词元
note-plan-retrieve-starter = 一次查询全部位置，在入门图库中
note-plan-retrieve = 一次查询全部位置，在 { $names } 中
note-plan-similar = 按相似度，不调用模型
note-plan-text = 由正文得出，不调用模型
note-plan-rerank = 调用重排模型 { $model } { $n } 次，只看图注，约 { $tokens } 个词元
note-plan-fit = 文章中的图片：合适的都要
note-plan-images = 文章中的图片：{ $n }
note-plan-generate = 由 { $generator } 生成：没有合适图片的位置最多 { $n } 张，标明为生成
note-model-embedded = 内置的 SmolLM2-135M
note-model-first = 服务器上的第一个模型
