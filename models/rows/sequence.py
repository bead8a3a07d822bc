"""Networks that read or write sequences."""

from __future__ import annotations

from accelc.models.entry import row

_ELMAN = 'Elman, "Finding structure in time", Cognitive Science 1990'
_IRNN = 'Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified linear units", arXiv 2015'
_KARPATHY = 'Karpathy, Johnson, Fei-Fei, "Visualizing and understanding recurrent networks", ICLR workshop 2016'
_LSTM = 'Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 1997'
_SPEECH = 'Graves, Mohamed, Hinton, "Speech recognition with deep recurrent neural networks", ICASSP 2013'
_PEEPHOLE = 'Gers, Schmidhuber, "Recurrent nets that time and count", IJCNN 2000'
_COUPLED = 'Greff et al., "LSTM: A search space odyssey", IEEE TNNLS 2017'
_GRU = (
    'Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", '
    'EMNLP 2014'
)
_WORD_LM = 'Zaremba, Sutskever, Vinyals, "Recurrent neural network regularization", arXiv 2014'
_SEQ2SEQ = 'Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015'
_SHOW_TELL = 'Vinyals et al., "Show and tell: A neural image caption generator", CVPR 2015'
_ATTEND = 'Xu et al., "Show, attend and tell: Neural image caption generation with visual attention", ICML 2015'
_VIDEO = 'Yao et al., "Describing videos by exploiting temporal structure", ICCV 2015'
_VQA = 'Antol et al., "VQA: Visual question answering", ICCV 2015'
_ASK = (
    'Xu, Saenko, "Ask, attend and answer: Exploring question-guided spatial attention for visual question answering", '
    'ECCV 2016'
)
_VISUAL7W = 'Zhu et al., "Visual7W: Grounded question answering in images", CVPR 2016'
_GLIMPSE = 'Mnih, Heess, Graves, Kavukcuoglu, "Recurrent models of visual attention", NIPS 2014'
_HANDWRITING = 'Graves, "Generating sequences with recurrent neural networks", arXiv 2013'
_TRANSFORMER = 'Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial transformer networks", NIPS 2015'

_RNN_ROW, _SPEECH_ROW = "sequence:rnn", "sequence:speech"

ROWS = (
    row("rnn", "rnn", _ELMAN, _RNN_ROW),
    row("rnn_relu", "rnn", _IRNN, _RNN_ROW, activation="Relu"),
    row("rnn_1_1", "rnn", _ELMAN, _RNN_ROW, shape="1-1"),
    row("rnn_1_n", "rnn", _ELMAN, _RNN_ROW, shape="1-n"),
    row("rnn_n_1", "rnn", _ELMAN, _RNN_ROW, shape="n-1"),
    row("rnn_n_n_delayed", "rnn", _ELMAN, _RNN_ROW, shape="n-n delayed"),
    row("rnn_n_n", "rnn", _ELMAN, _RNN_ROW, shape="n-n"),
    row("char_rnn", "rnn", _KARPATHY, "sequence:char_rnn"),
    row("lstm", "lstm", _LSTM, _SPEECH_ROW),
    row("lstm_multilayer", "lstm", _SPEECH, _SPEECH_ROW, hidden=421, layers=3),
    row("lstm_bidirectional", "lstm", _SPEECH, _SPEECH_ROW, layers=3, bidirectional=True),
    row("lstm_peephole", "lstm", _PEEPHOLE, _SPEECH_ROW, peephole=True),
    row("lstm_coupled", "lstm", _COUPLED, _SPEECH_ROW, coupled=True),
    row("gru", "gru", _GRU, _SPEECH_ROW, kind="GRU"),
    row("gru_linear_before_reset", "gru", _GRU, _SPEECH_ROW, kind="GRU", reset_before=False),
    row("word_lm", "lstm", _WORD_LM, "sequence:word_lm"),
    row("seq2seq_attention", "attention", _SEQ2SEQ, "translate:seq2seq_attention"),
    row("image_captioning", "captioning", _SHOW_TELL, "captioning:image_captioning"),
    row("show_attend_tell", "captioning", _ATTEND, "captioning:show_attend_tell"),
    row("show_attend_tell_hard", "captioning", _ATTEND, "captioning:show_attend_tell", hard=True),
    row("video_captioning", "captioning", _VIDEO, "captioning:video_captioning"),
    row("vqa", "vqa", _VQA, "vqa:vqa"),
    row("vqa_attention", "vqa", _ASK, "vqa:vqa_attention"),
    row("vqa_attention_visual7w", "vqa", _VISUAL7W, "vqa:vqa_attention_visual7w"),
    row("glimpse_rnn", "attention", _GLIMPSE, "glimpse:glimpse_rnn"),
    row("handwriting", "lstm", _HANDWRITING, "handwriting:handwriting"),
    row("spatial_transformer", "attention", _TRANSFORMER, "glimpse:spatial_transformer"),
)
