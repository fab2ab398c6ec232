/** Texts of predictions that people correct in the labelling studio. */
const count = (value: number, one: string, many: string): string => `${value.toLocaleString('en')} ${value === 1 ? one : many}`

export const prelabels = {
  prelabels: {
    toCheck: (predictions: number) => `${count(predictions, 'prediction', 'predictions')} to check`,
    allChecked: 'No predictions to check',
    checkedAll: 'All predictions are checked.',
    accepted: 'Accepted.',
    rejected: 'Rejected.',
    acceptedAll: (predictions: number) => `${count(predictions, 'prediction', 'predictions')} accepted.`,
    confidence: 'Confidence threshold',
    confidenceShort: 'Confidence',
    hidden: (predictions: number) => `${count(predictions, 'prediction', 'predictions')} below the threshold, hidden`,
    accept: 'Accept',
    acceptHint: 'Accept, and go to the next prediction',
    reject: 'Reject',
    rejectHint: 'Reject, and go to the next prediction',
    acceptAll: 'Accept all',
    acceptAllHint: 'Accept all visible predictions',
    score: (score: string) => `Score ${score}`,
    by: (model: string) => `Predicted by ${model}`,
    start: 'Predictions of a model',
    startHint: 'Accept or correct what a model predicts on images without labels.',
    dataset: 'Predictions',
    datasetHint: 'A dataset that was written by Predict. Items are matched by key.',
    minScore: 'Confidence threshold',
    columnHint: 'Items that have labels in this column keep them. Enter a new name to check predictions of labelled images.',
    fact: (ref: string, model: string, score: string) => (ref === model ? `Predictions: ${ref}, from ${score}` : `Predictions: ${ref} of ${model}, from ${score}`),
  },
}
