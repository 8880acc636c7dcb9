"""The files of the default model, which the package carries as `lrplstm.default_model`."""
