"""Encoders: of captions (`minilm`), and of pictures and texts in one space (`onnx`, and open_clip's in `openclip`).

`models.toml` lists the encoders that limner downloads (`known`); `layout` and `sentence_folder` read a model's folder.
"""
