"""The sample sentences, which the package carries as `lrplstm.sample_data`."""
