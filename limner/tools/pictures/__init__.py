"""Encoders that put pictures and texts into one space: ONNX models (`onnx`), and open_clip's (`openclip`).

`models.toml` lists the models that limner downloads (`known`), `hub` downloads them, `layout` reads a model's folder.
"""
