### 服务器所说的话。每条与 said.en.ftl 中同名的一条对应。


# 历史
said-composed = 写成
said-illustrated = 配图完成
said-changed-title = 改标题
said-changed-language = 改语言
said-edited-block = 改一段
said-inserted-text = 插入文字
said-deleted-block = 删除一段
said-moved-block = 移动一段
said-joined-blocks = 合并两段
said-split-block = 拆分一段
said-placed-image = 放入图片
said-swapped-image = 换图
said-moved-image = 移动图片
said-removed-image = 移除图片
said-described-image = 改图片文字
said-cropped-image = 裁剪图片
said-was-locked = 锁定
said-was-unlocked = 解锁
said-times = { $line }（{ $n } 次）
said-accepted = 原样接受
said-undid = 撤销：{ $line }
said-redid = 重做：{ $line }
said-went-to = 回到版本 { $n }
said-went-back = 退回：{ $line }

# 被拒绝的修改
said-nothing-to-undo = 已是第一版，没有可撤销的。
said-nothing-to-redo = 已是最后一步，没有可重做的。
said-changed-by-others = 别人正在不停地修改。请稍候再试。
said-changed-back = 刚刚被改动又改回。请再试。
said-no-version = 没有版本 { $n }。
said-edit-of = 第 { $n } 项修改（共 { $of } 项，{ $do }）：{ $line }
said-no-block = 文章里没有这一段，可能已被删除。请重新打开。
said-no-image = 文章里没有这张图片，可能已被移除。请重新打开。
said-empty-title = 标题是空的，至少写一个词。
said-nothing-follows = 后面没有可合并的段落。
said-empty-part = 有一部分会是空的。请在文字中间拆分。
said-image-there = 这张图片已在文章中。请移动它，或先移除。
said-no-text = 没有可显示的文字。请写一些，或删除这一段。
said-block-locked = 这一段已锁定。请先解锁。
said-image-locked = 这张图片已锁定。请先解锁。

# 为何选图
said-relevance = 相关度 { $n }
said-by-person = 由人选定。
said-kept-best = 保留：{ $line }，属于最佳组合。
said-kept-chosen = 按选择保留：{ $line }。
said-kept-instead = 代替原选择保留；原选择在别处更合适或根本不合适：{ $line }。
said-empty-nothing = 空缺：选图者认为没有合适的。
said-empty-none = 空缺：没有找到候选图。
said-empty-another = 空缺：这一段之后已有图片。
said-empty-least = 空缺：最佳候选的相关度为 { $n }，需要 { $least }。
said-empty-gain = 空缺：别处更值得（此处最高相关度 { $n }）。

# 审阅
said-about-outline = 文章将涵盖的内容。你回答后开始写。
said-about-draft = 正文。你回答后开始找配图位置。
said-about-spots = 图片放在哪里、表现什么。你回答后开始搜索图库。
said-about-images = 每处的图片，以及找到的其他图片。
said-about-final = 文章将是这样。
said-not-taken = 无法采用这个回答：{ $line }
said-earlier-version = 这是对旧问题的回答：问题已有变化。请重新阅读后再答。
said-asks-nothing = 现在没有要回答的：已经回答过了。
said-twice = 同一张图片会出现在两处。请为其中一处另选。

# 进行中
said-worker-died = 它的工作进程在 { $step } 步骤中断
said-worker-silent = 它的工作进程在 { $step } 步骤失去联系
said-worker-died-early = 它的工作进程中断
said-worker-silent-early = 它的工作进程失去联系
said-set-aside = 已搁置：连续 { $n } 次，{ $line }。请查看日志，然后继续。
said-tried = { $line }（已试 { $n } 次）
said-no-answer = { $url } 没有回应。请启动模型服务器，或检查 LIMNER_MODEL_URL。
said-broke = 与 { $url } 的连接在回答途中断开（{ $why }）。请检查服务器。
said-unreadable = 模型的回答无法读取：{ $why }
said-too-long = 用时超过 { $n } 秒。请提高 LIMNER_JOB_SECONDS 后继续。
said-no-outline = 写作模型不做提纲：提纲审阅已略过。
said-spots-unread = 选位的回答两次无法读取；位置仅由正文得出。
said-choice-unread = 选图的回答两次无法读取；由相似度决定。
said-choice-once = 选图的第二次回答无法读取；以第一次为准。
said-broke-off = 写作的回答中断；未完的结尾已去掉。
said-spot-note = 位置 { $id }：{ $line }
said-nothing-changed = 没有修改：{ $line }
said-by-captions = 根据图注判断：{ $why }

# 被拒绝的请求
said-brief-empty = 内容是空的。请说明文章写什么。
said-no-paragraph = 草稿里没有可以配图的段落。
said-spent-today = 今天的词元已用完。请在 UTC 零点后再试。
said-no-job = 没有这篇文章。
said-no-library = 没有图库 { $name }。
said-library-empty = 图库 { $name } 里没有图片。
said-library-busy = 图库 { $name } 正在被写入，请稍后再试。
said-library-image = 图库 { $name } 里没有这张图片。请重新搜索。
said-caption-empty = 图注是空的。请写图片表现什么，或改回文件夹里的。
said-words-long = 太长：{ $n } 个字符，最多 { $most } 个。
said-captions-shared = { $name } 的图注是大家共用的，请联系管理员修改。
said-search-empty = 图注是空的。请说明图片应表现什么。
said-file-empty = 文件是空的。
said-file-unusable = 无法使用这个文件：{ $why }。
said-in-use = 图片在使用中：{ $line }
said-use-shown = “{ $title }”用到了它。请先在那里移除，或删除那篇文章。
said-use-version = “{ $title }”的版本 { $n } 用到了它。请先删除那篇文章。
said-use-making = “{ $title }”还没写完，可能会用到它。请等待，或删除它。
said-too-large = 超过一次请求的上限 { $n } 字节。
said-model-nothing = 模型的回答无法采用。

# 预计
said-plan-look = 约 { $n } 次调用 { $line }，每次 { $images } 张图片，{ $tokens } 个词元
said-plan-write-one = 约 { $n } 次调用 { $line }，{ $tokens } 个词元
said-plan-write = 约 { $n } 次调用 { $line }，{ $tokens } 个词元
said-plan-spot-one = { $n } 次调用 { $line }，最多 { $spots } 处，约 { $tokens } 个词元
said-plan-spot = { $n } 次调用 { $line }，最多 { $spots } 处，约 { $tokens } 个词元
said-plan-retrieve-starter = 一次查询全部位置，在入门图库中
said-plan-retrieve = 一次查询全部位置，在 { $names } 中
said-plan-similar = 按相似度，不调用模型
said-plan-text = 由正文得出，不调用模型
said-plan-fit = 文章中的图片：合适的都要
said-plan-images = 文章中的图片：{ $n }
said-plan-embedded = 内置的 SmolLM2-135M
said-plan-first = 服务器上的第一个模型
